//! Secrets in a data folder: they come back, and where there is a key nobody reads them there.

use std::path::Path;

use millstream::{Engine, Error, Outcome};

use crate::harness;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";

async fn over(folder: &Path, key: Option<&str>) -> Result<Engine, Error> {
    let builder = Engine::builder().data(folder.join("data").display().to_string()).settings(harness::settings());
    key.iter().fold(builder, |builder, key| builder.secret_key(*key)).build().await
}

/// Every byte below a folder.
fn contents(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() { contents(&path) } else { std::fs::read(&path).unwrap() });
    }
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_back_and_are_readable_with_their_key_only() {
    for key in [None, Some(KEY)] {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("hunter2.csv");
        std::fs::write(&input, "n\n1\n2\n").unwrap();
        let output = folder.path().join("output-of-hunter2");
        let engine = over(folder.path(), key).await.unwrap();
        let script = format!(
            "CREATE SECRET wrong AS 'nowhere'; CREATE SECRET output AS '{}'; CREATE OR REPLACE SECRET wrong AS '{}';
             CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'file', 'path' = SECRET wrong);
             CREATE SINK copy WITH ('connector' = 'file', 'format' = 'csv', 'path' = SECRET output) AS SELECT n FROM numbers",
            output.display(),
            input.display()
        );
        let Some(Outcome::Pipeline(handle)) = engine.session().execute(&script).await.unwrap().pop() else { panic!("no pipeline") };
        harness::patiently("the copy", handle.wait()).await.unwrap();
        engine.session().execute("CREATE OR REPLACE SECRET unused AS 'x'; DROP SECRET unused").await.unwrap();
        engine.shutdown().await;
        drop(engine);
        let kept = contents(&folder.path().join("data"));
        assert!(holds(&kept, "SECRET output"), "no definition is kept");
        assert_eq!(holds(&kept, "output-of-hunter2"), key.is_none(), "with the key {key:?}");

        let engine = over(folder.path(), key).await.unwrap();
        assert_eq!(harness::rows(&engine.session(), "SELECT sum(n) FROM numbers").await.unwrap(), ["3"]);
        assert_eq!(harness::rows(&engine.session(), "SHOW SECRETS").await.unwrap(), ["output|***", "wrong|***"]);
        for (secret, user) in [("output", "pipeline copy"), ("wrong", "table numbers")] {
            let error = engine.session().execute(&format!("DROP SECRET {secret}")).await.unwrap_err();
            assert!(error.to_string().contains(&format!("{user} uses secret {secret}")), "{error}");
        }
        engine.shutdown().await;
        drop(engine);
        for other in [None, Some(OTHER_KEY)] {
            match (key, over(folder.path(), other).await) {
                (None, opened) => drop(opened.unwrap()),
                (Some(_), Ok(_)) => panic!("opened with the key {other:?}"),
                (Some(_), Err(error)) => assert!(error.to_string().contains("MILLSTREAM_SECRET_KEY"), "{error}"),
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let error = over(folder.path(), Some("hunter2")).await.unwrap_err().to_string();
    assert!(error.contains("32 bytes in base64") && !error.contains("hunter2"), "{error}");
}
