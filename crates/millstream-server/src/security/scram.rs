//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a password is proved without being sent, and only a verifier is kept.
//!
//! A verifier is written as PostgreSQL writes it: `SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>`.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac, pbkdf2};

use crate::error::{Result, WireError};
use crate::protocol::incoming::{Body, utf8};

/// As many rounds as PostgreSQL takes.
const ITERATIONS: u32 = 4096;

const SALT_BYTES: usize = 16;

/// Most rounds a verifier may ask for.
const ITERATIONS_MAX: u32 = 10_000_000;

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    /// Of a password, with a new salt.
    pub(crate) fn of_password(password: &str) -> Result<Self> {
        let mut salt = vec![0; SALT_BYTES];
        random_bytes(&mut salt)?;
        Ok(Self::derive(password.as_bytes(), salt, ITERATIONS))
    }

    /// One that no password fits; the same for the same user each time, as a real one would be.
    pub(crate) fn made_up(user: &str, secret: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let salt = hmac::sign(&key, user.as_bytes()).as_ref()[..SALT_BYTES].to_vec();
        Self { iterations: ITERATIONS, salt, stored_key: vec![0; 32], server_key: vec![0; 32] }
    }

    /// Whether this is the password.
    pub(crate) fn fits(&self, password: &str) -> bool {
        let given = Self::derive(password.as_bytes(), self.salt.clone(), self.iterations);
        // All bytes are looked at, whichever differs.
        let differences = given.stored_key.iter().zip(&self.stored_key).fold(0, |all, (a, b)| all | (a ^ b));
        differences == 0 && given.stored_key.len() == self.stored_key.len()
    }

    fn derive(password: &[u8], salt: Vec<u8>, iterations: u32) -> Self {
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(iterations).unwrap_or(NonZeroU32::MIN);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, password, &mut salted);
        let salted = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let server_key = hmac::sign(&salted, b"Server Key").as_ref().to_vec();
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref()).as_ref().to_vec();
        Self { iterations, salt, stored_key, server_key }
    }

    /// A verifier as text; `None`: the text is none (a password, perhaps).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let ((iterations, salt), (stored, server)) = (head.split_once(':')?, keys.split_once(':')?);
        let decode = |text: &str| STANDARD.decode(text).ok();
        let verifier =
            Self { iterations: iterations.parse().ok()?, salt: decode(salt)?, stored_key: decode(stored)?, server_key: decode(server)? };
        let is_sound =
            verifier.stored_key.len() == 32 && verifier.server_key.len() == 32 && (1..=ITERATIONS_MAX).contains(&verifier.iterations);
        is_sound.then_some(verifier)
    }

    pub(crate) fn to_text(&self) -> String {
        let encode = |bytes: &[u8]| STANDARD.encode(bytes);
        format!("SCRAM-SHA-256${}:{}${}:{}", self.iterations, encode(&self.salt), encode(&self.stored_key), encode(&self.server_key))
    }
}

/// An authentication under way.
pub(crate) struct Exchange {
    verifier: Verifier,
    header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

/// The client's first message, out of the SASLInitialResponse around it.
pub(crate) fn initial_response(body: &Bytes) -> Result<String> {
    let mut body = Body(body.clone());
    let mechanism = body.text()?;
    if mechanism != "SCRAM-SHA-256" {
        return Err(WireError::protocol("client selected an invalid SASL authentication mechanism"));
    }
    let data = body.value()?.ok_or_else(|| malformed("there is no first message"))?;
    utf8(&data)
}

fn malformed(detail: &str) -> WireError {
    WireError::protocol("malformed SCRAM message").with_detail(detail)
}

impl Exchange {
    pub(crate) fn start(verifier: &Verifier, client_first: &str) -> Result<Self> {
        let mut parts = client_first.splitn(3, ',');
        let (binding, authorization, bare) = (parts.next(), parts.next(), parts.next());
        let (Some(binding), Some(authorization), Some(bare)) = (binding, authorization, bare) else {
            return Err(malformed("the first message has three parts"));
        };
        // "y": the client could bind to the channel and thinks we cannot; that is right, we offer no -PLUS.
        if !["n", "y"].contains(&binding) {
            return Err(malformed("channel binding was not offered"));
        }
        let client_nonce = bare.split(',').find_map(|part| part.strip_prefix("r=")).filter(|nonce| !nonce.is_empty() && nonce.len() < 512);
        let client_nonce = client_nonce.ok_or_else(|| malformed("there is no nonce"))?;
        let mut random = [0; 18];
        random_bytes(&mut random)?;
        let nonce = format!("{client_nonce}{}", STANDARD.encode(random));
        let server_first = format!("r={nonce},s={},i={}", STANDARD.encode(&verifier.salt), verifier.iterations);
        Ok(Self {
            verifier: verifier.clone(),
            header: format!("{binding},{authorization},"),
            client_first_bare: bare.to_owned(),
            server_first,
            nonce,
        })
    }

    pub(crate) fn server_first(&self) -> &str {
        &self.server_first
    }

    /// The server's last message if the proof is right; `None` if it is wrong.
    pub(crate) fn finish(&mut self, client_final: &Bytes) -> Result<Option<String>> {
        let message = utf8(client_final)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or_else(|| malformed("there is no proof"))?;
        let part = |prefix: &str| without_proof.split(',').find_map(|part| part.strip_prefix(prefix));
        if part("c=") != Some(&STANDARD.encode(&self.header)) {
            return Err(malformed("the channel binding differs from the first message"));
        }
        if part("r=") != Some(&self.nonce) {
            return Err(malformed("the nonce differs"));
        }
        let proof =
            STANDARD.decode(proof).ok().filter(|proof| proof.len() == 32).ok_or_else(|| malformed("the proof has a wrong length"))?;
        let auth_message = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let stored = hmac::Key::new(hmac::HMAC_SHA256, &self.verifier.stored_key);
        let signature = hmac::sign(&stored, auth_message.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let shown = digest::digest(&digest::SHA256, &client_key);
        // All bytes are looked at, whichever differs. What is compared is a digest: its bytes tell nothing of the password.
        let differences = shown.as_ref().iter().zip(&self.verifier.stored_key).fold(0, |all, (a, b)| all | (a ^ b));
        let is_right = differences == 0 && self.verifier.stored_key.len() == 32;
        let server = hmac::Key::new(hmac::HMAC_SHA256, &self.verifier.server_key);
        let server_signature = hmac::sign(&server, auth_message.as_bytes());
        Ok(is_right.then(|| format!("v={}", STANDARD.encode(server_signature.as_ref()))))
    }
}

fn random_bytes(bytes: &mut [u8]) -> Result<()> {
    SystemRandom::new().fill(bytes).map_err(|_| WireError::fatal("58000", "the machine gives no random numbers"))
}

/// A number that nobody can guess.
pub(crate) fn random_i32() -> Result<i32> {
    let mut bytes = [0; 4];
    random_bytes(&mut bytes)?;
    Ok(i32::from_be_bytes(bytes))
}

/// A secret of this process.
pub(crate) fn random_secret() -> Result<Vec<u8>> {
    let mut bytes = vec![0; 32];
    random_bytes(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client's side, for a password.
    fn client_final(exchange: &Exchange, password: &str) -> Bytes {
        let verifier = &exchange.verifier;
        let mut salted = [0; 32];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            NonZeroU32::new(verifier.iterations).unwrap(),
            &verifier.salt,
            password.as_bytes(),
            &mut salted,
        );
        let client_key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salted), b"Client Key");
        let stored = digest::digest(&digest::SHA256, client_key.as_ref());
        let without_proof = format!("c=biws,r={}", exchange.nonce);
        let auth = format!("{},{},{without_proof}", exchange.client_first_bare, exchange.server_first);
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, stored.as_ref()), auth.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        Bytes::from(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    #[test]
    fn the_right_password_is_let_in_and_no_other() {
        let verifier = Verifier::of_password("bi").unwrap();
        let kept = Verifier::parse(&verifier.to_text()).unwrap();
        assert!(kept == verifier && Verifier::parse("bi").is_none());
        assert!(kept.fits("bi") && !kept.fits("bI") && !Verifier::made_up("nobody", b"secret").fits("bi"));
        for (verifier, password, is_right) in
            [(&kept, "bi", true), (&kept, "bI", false), (&Verifier::made_up("nobody", b"secret"), "bi", false)]
        {
            let mut exchange = Exchange::start(verifier, "n,,n=me,r=abc").unwrap();
            let message = client_final(&exchange, password);
            assert_eq!(exchange.finish(&message).unwrap().is_some(), is_right, "{password}");
        }
    }

    #[test]
    fn what_is_no_scram_is_refused() {
        let verifier = Verifier::of_password("bi").unwrap();
        for first in ["", "n,,", "p=tls-unique,,n=,r=x", "n,,n=me,r="] {
            assert!(Exchange::start(&verifier, first).is_err(), "{first}");
        }
        let mut exchange = Exchange::start(&verifier, "n,,n=me,r=abc").unwrap();
        for last in ["", "c=biws,r=abc,p=AAAA", "c=eSws,r=x,p=AAAA"] {
            assert!(exchange.finish(&Bytes::from_static(last.as_bytes())).is_err(), "{last}");
        }
    }
}
