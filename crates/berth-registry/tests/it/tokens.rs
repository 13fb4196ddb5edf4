//! Docker tokens.

use std::time::Duration;

use berth_registry::Error;

use crate::assert_error;
use crate::fixture::{World, caller, on_each_store};

on_each_store!(speaks_for_its_principal_until_it_expires, a_changed_token_is_invalid);

async fn speaks_for_its_principal_until_it_expires(mut world: World) {
    let token = world.registry.issue_token(&world.caller).unwrap();
    assert_eq!(token.expires_at, world.now().plus(Duration::from_secs(12 * 3600)));
    assert_eq!(world.registry.verify_token(&token.password).unwrap(), world.caller.principal);
    world.restart().await;
    assert_eq!(world.registry.verify_token(&token.password).unwrap(), world.caller.principal);

    world.clock.set(token.expires_at.minus(Duration::from_millis(1)));
    assert!(world.registry.verify_token(&token.password).is_ok());
    world.clock.set(token.expires_at);
    assert_error!(world.registry.verify_token(&token.password), Error::TokenExpired);

    // Made while the clock was a day ahead, it would be good for 36 hours.
    world.clock.set(token.expires_at.minus(Duration::from_secs(36 * 3600)));
    assert_error!(world.registry.verify_token(&token.password), Error::TokenExpired);
    // Clocks that differ by seconds are normal.
    world.clock.set(token.expires_at.minus(Duration::from_secs(12 * 3600 + 60)));
    assert!(world.registry.verify_token(&token.password).is_ok());

    let stranger = caller("999999999999", "123456789012");
    assert_error!(world.registry.issue_token(&stranger), Error::AccessDenied { .. });
}

async fn a_changed_token_is_invalid(world: World) {
    let token = world.registry.issue_token(&world.caller).unwrap().password;
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_error!(world.registry.verify_token(&changed), Error::TokenInvalid);
        assert_error!(world.registry.verify_token(&token[..at]), Error::TokenInvalid);
    }
    for garbage in ["", "AWS", "ä", "====", &"A".repeat(100_000)] {
        assert_error!(world.registry.verify_token(garbage), Error::TokenInvalid);
    }
}
