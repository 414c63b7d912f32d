//! Secrets: values that statements use by name and nobody is shown.
//!
//! A data folder holds them in its catalog. With a key (`MILLSTREAM_SECRET_KEY` of the program) they are encrypted there by AES-256-GCM
//! (NIST SP 800-38D) with a random nonce each, the secret's name authenticated with it, so that one cannot be put in another's place.
//! Without a key they are readable by whoever can read the folder.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The key of all secrets of a data folder.
pub(crate) struct SecretKey(LessSafeKey);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

impl SecretKey {
    /// From 32 bytes in base64.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let hint = "hint: openssl rand -base64 32 makes one";
        let wrong = || Error::user("22023", format!("the key of the secrets must be 32 bytes in base64 ({hint})"));
        let bytes = STANDARD.decode(text.trim()).map_err(|_| wrong())?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| wrong())?;
        Ok(Self(LessSafeKey::new(key)))
    }

    fn seal(&self, name: &str, value: &str) -> Result<StoredSecret> {
        let failed = |_| Error::internal("a secret cannot be encrypted");
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(failed)?;
        let mut text = value.as_bytes().to_vec();
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut text).map_err(failed)?;
        Ok(StoredSecret::Aes256Gcm { nonce: STANDARD.encode(nonce), value: STANDARD.encode(text) })
    }

    fn open(&self, name: &str, nonce: &str, value: &str) -> Option<String> {
        let nonce = Nonce::try_assume_unique_for_key(&STANDARD.decode(nonce).ok()?).ok()?;
        let mut text = STANDARD.decode(value).ok()?;
        let plain = self.0.open_in_place(nonce, Aad::from(name), &mut text).ok()?;
        String::from_utf8(plain.to_vec()).ok()
    }
}

/// A secret as the catalog holds it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cipher", rename_all = "snake_case")]
pub(crate) enum StoredSecret {
    /// As it is.
    None { value: String },
    /// Both in base64; the value with its tag behind it.
    Aes256Gcm { nonce: String, value: String },
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredSecret(***)")
    }
}

/// All secrets of an engine, by name.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    key: Option<SecretKey>,
    stored: RwLock<BTreeMap<String, StoredSecret>>,
}

impl Secrets {
    pub(crate) fn new(key: Option<SecretKey>) -> Self {
        Self { key, stored: RwLock::default() }
    }

    /// As the catalog is to hold it.
    pub(crate) fn seal(&self, name: &str, value: &str) -> Result<StoredSecret> {
        match &self.key {
            Some(key) => key.seal(name, value),
            None => Ok(StoredSecret::None { value: value.to_owned() }),
        }
    }

    pub(crate) fn put(&self, name: &str, secret: StoredSecret) {
        self.stored.write().insert(name.to_owned(), secret);
    }

    pub(crate) fn remove(&self, name: &str) -> bool {
        self.stored.write().remove(name).is_some()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.stored.read().contains_key(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.stored.read().keys().cloned().collect()
    }

    /// Its value.
    pub(crate) fn value(&self, name: &str) -> Result<String> {
        let stored = self.stored.read();
        match (stored.get(name), &self.key) {
            (Some(StoredSecret::None { value }), _) => Ok(value.clone()),
            (Some(StoredSecret::Aes256Gcm { nonce, value }), Some(key)) => key.open(name, nonce, value).ok_or_else(|| {
                let hint = "hint: set MILLSTREAM_SECRET_KEY to the key it was made with, or CREATE OR REPLACE SECRET";
                Error::user("28000", format!("secret {name} cannot be read: it was encrypted with another key, or is damaged ({hint})"))
            }),
            (Some(StoredSecret::Aes256Gcm { .. }), None) => Err(Error::user(
                "28000",
                format!("secret {name} is encrypted (hint: set MILLSTREAM_SECRET_KEY to the key it was made with)"),
            )),
            (None, _) => {
                let near = millstream_connectors::options::did_you_mean(name, stored.keys().map(String::as_str));
                let hint = near.map_or_else(|| format!("CREATE SECRET {name} AS '…'"), |near| format!("did you mean {near}?"));
                Err(Error::user("42704", format!("there is no secret {name} (hint: {hint})")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER_KEY: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";

    #[test]
    fn what_is_encrypted_reads_back_with_its_key_and_name_only() {
        let secrets = Secrets::new(Some(SecretKey::parse(KEY).unwrap()));
        let stored = secrets.seal("pw", "hünter2").unwrap();
        assert_ne!(stored, secrets.seal("pw", "hünter2").unwrap(), "a nonce is used twice");
        let json = serde_json::to_string(&stored).unwrap();
        assert!(!json.contains("nter2"), "{json}");
        for (key, name, value) in
            [(Some(KEY), "pw", Some("hünter2")), (Some(KEY), "other", None), (Some(OTHER_KEY), "pw", None), (None, "pw", None)]
        {
            let secrets = Secrets::new(key.map(|key| SecretKey::parse(key).unwrap()));
            secrets.put(name, serde_json::from_str(&json).unwrap());
            assert_eq!(secrets.value(name).ok().as_deref(), value, "{key:?} {name}");
        }
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        for text in ["", "secret", "AAEC", "!!"] {
            let error = SecretKey::parse(text).unwrap_err().to_string();
            assert!(error.contains("32 bytes in base64"), "{error}");
        }
    }

    #[test]
    fn nothing_of_it_is_printed() {
        let secrets = Secrets::new(Some(SecretKey::parse(KEY).unwrap()));
        secrets.put("plain", StoredSecret::None { value: "hunter2".to_owned() });
        let printed = format!("{secrets:?}");
        assert!(printed.contains("plain") && !printed.contains("hunter2"), "{printed}");
    }
}
