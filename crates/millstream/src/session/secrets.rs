//! CREATE, DROP and SHOW SECRET, and `'key' = SECRET name` in options.

use std::borrow::Cow;

use millstream_sql::parse::{CreateSecret, Statement, parse};

use super::Session;
use super::run_statement::{done, object_name, rows_of};
use crate::catalog::Object;
use crate::error::{Error, Result};
use crate::query::Outcome;

/// What a person sees of a secret.
const REDACTED: &str = "***";

/// A statement with the values of the secrets that its options name; and those values, which no message may show.
pub(super) fn resolve<'a>(session: &Session, statement: &'a Statement) -> Result<(Cow<'a, Statement>, Vec<String>)> {
    if !statement.options().iter().any(|option| option.is_secret) {
        return Ok((Cow::Borrowed(statement), Vec::new()));
    }
    let mut resolved = statement.clone();
    let mut values = Vec::new();
    for option in resolved.options_mut().iter_mut().filter(|option| option.is_secret) {
        option.value = session.engine.inner.secrets.value(&option.value)?;
        option.is_secret = false;
        values.push(option.value.clone());
    }
    Ok((Cow::Owned(resolved), values))
}

/// The error without the values.
pub(super) fn redact(error: Error, values: &[String]) -> Error {
    values.iter().filter(|value| !value.is_empty()).fold(error, |error, value| error.without(value, REDACTED))
}

pub(super) async fn create_secret(session: &Session, create: &CreateSecret) -> Result<Outcome> {
    let name = object_name(&create.name)?;
    let engine = &session.engine.inner;
    let _definitions = engine.definitions.lock().await;
    if engine.secrets.contains(&name) && !create.or_replace {
        // A script that runs again says what is there already.
        let same = || session.adopted.is_some() && engine.secrets.value(&name).is_ok_and(|value| value == create.value);
        if create.if_not_exists || same() {
            return Ok(done("CREATE SECRET"));
        }
        return Err(Error::user("42P07", format!("secret {name} exists already (hint: CREATE OR REPLACE, or IF NOT EXISTS)")));
    }
    let secret = engine.secrets.seal(&name, &create.value)?;
    if let Some(data) = &engine.data {
        data.put_secret(&name, format!("CREATE SECRET \"{}\" AS '{REDACTED}'", name.replace('"', "\"\"")), secret.clone()).await?;
    }
    engine.secrets.put(&name, secret);
    Ok(done("CREATE SECRET"))
}

/// Removes a secret; false if there is none.
pub(super) async fn drop_secret(session: &Session, name: &str) -> Result<bool> {
    let engine = &session.engine.inner;
    let _definitions = engine.definitions.lock().await;
    if !engine.secrets.contains(name) {
        return Ok(false);
    }
    if let Some(user) = user_of(session, name) {
        return Err(Error::user("2BP01", format!("{user} uses secret {name} (hint: DROP {user} first, or CREATE OR REPLACE SECRET)")));
    }
    if let Some(data) = &engine.data {
        data.remove_secret(name).await?;
    }
    engine.secrets.remove(name);
    Ok(true)
}

/// What names the secret in its definition: kind and name.
fn user_of(session: &Session, secret: &str) -> Option<String> {
    let engine = &session.engine.inner;
    let stored = engine.data.iter().flat_map(|data| data.objects()).find(|object| names_secret(&object.sql, secret));
    if let Some(object) = stored {
        return Some(format!("{} {}", object.kind, object.name));
    }
    let catalog = engine.catalog.read();
    catalog.names().into_iter().find_map(|name| match catalog.get(&name) {
        Some(Object::Stream(stream)) if names_secret(&stream.sql, secret) => Some(format!("table {name}")),
        _ => None,
    })
}

fn names_secret(sql: &str, secret: &str) -> bool {
    let statements = parse(sql).unwrap_or_default();
    statements.iter().any(|parsed| parsed.statement.options().iter().any(|option| option.is_secret && option.value == secret))
}

pub(super) fn show_secrets(session: &Session) -> Result<Outcome> {
    let names = session.engine.inner.secrets.names();
    rows_of(&["secret", "value"], names.into_iter().map(|name| vec![Some(name), Some(REDACTED.to_owned())]).collect())
}
