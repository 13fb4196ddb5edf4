//! Docker tokens: what `GetAuthorizationToken` gives and the OCI plane takes as the password of user `AWS`.
//!
//! A token is not stored anywhere. It says itself for whom it speaks and until when, and is signed under a key that
//! follows from the root key: base64url of a version byte, the claims as JSON, and the signature of both.

use std::time::Duration;

use berth_types::{AccountId, Timestamp, limits};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::context::{Caller, Principal, Registry};
use crate::error::{Error, Result};
use crate::failure;
use crate::operation::Operation;
use crate::signature::SIGNATURE_BYTES;

/// First byte of a token.
const VERSION: u8 = 1;
/// Longest token that is looked at, in characters. Ours have a few hundred.
const TOKEN_CHARS_MAX: usize = 8 * 1024;
/// How far in the future a token may have been issued: the clocks of two replicas differ a little. One from further
/// ahead was made while the clock was wrong, and would be good for too long.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(300);

/// A token and when it ends.
#[derive(Clone, Debug)]
pub struct AuthorizationToken {
    /// The password of user `AWS`.
    pub password: String,
    /// When it stops being good.
    pub expires_at: Timestamp,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    account: AccountId,
    arn: String,
    user_id: String,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

impl Registry {
    /// Makes a token that speaks for the caller's principal for [`berth_types::limits::AUTHORIZATION_TOKEN_HOURS`].
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn issue_token(&self, caller: &Caller) -> Result<AuthorizationToken> {
        self.authorize(caller, Operation::GetAuthorizationToken, None)?;
        let Principal { account, arn, user_id } = caller.principal.clone();
        let issued_at = self.now();
        let expires_at = issued_at.plus(Duration::from_secs(limits::AUTHORIZATION_TOKEN_HOURS * 3600));
        let mut token = vec![VERSION];
        serde_json::to_writer(&mut token, &Claims { account, arn, user_id, issued_at, expires_at })
            .map_err(|error| failure::internal("make a token", error))?;
        let signature = self.token_signer().sign(&token);
        token.extend_from_slice(&signature);
        Ok(AuthorizationToken { password: BASE64URL_NOPAD.encode(&token), expires_at })
    }

    /// Whom a token speaks for.
    ///
    /// # Errors
    /// `TokenInvalid`, `TokenExpired`.
    pub fn verify_token(&self, password: &str) -> Result<Principal> {
        if password.len() > TOKEN_CHARS_MAX {
            return Err(Error::TokenInvalid);
        }
        let token = BASE64URL_NOPAD.decode(password.as_bytes()).map_err(|_| Error::TokenInvalid)?;
        let signed_bytes = token.len().checked_sub(SIGNATURE_BYTES).ok_or(Error::TokenInvalid)?;
        let (signed, signature) = token.split_at(signed_bytes);
        if !self.token_signer().is_valid(signed, signature) {
            return Err(Error::TokenInvalid);
        }
        let claims: Claims = match signed.split_first() {
            Some((&VERSION, claims)) => serde_json::from_slice(claims).map_err(|_| Error::TokenInvalid)?,
            _ => return Err(Error::TokenInvalid),
        };
        let now = self.now();
        if now >= claims.expires_at || claims.issued_at > now.plus(CLOCK_SKEW_MAX) {
            return Err(Error::TokenExpired);
        }
        Ok(Principal { account: claims.account, arn: claims.arn, user_id: claims.user_id })
    }
}
