//! The verbs of the module, as far as they can be tried without a registry.

use std::net::TcpListener;

use insta::assert_snapshot;

use crate::support::Sandbox;

/// An address of this machine where nobody listens.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn init_writes_a_file_once() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.berth(&["init", "--project", "shop", "--environment", "prod"]));
    let first = std::fs::read_to_string(sandbox.path("berth.toml")).unwrap();
    assert_snapshot!(sandbox.berth(&["init", "--project", "other"]));
    assert_eq!(std::fs::read_to_string(sandbox.path("berth.toml")).unwrap(), first);
}

#[test]
fn init_writes_nothing_that_would_be_refused() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.berth(&["init", "--project", "Shop"]));
    assert_snapshot!(sandbox.berth(&["init", "--project", "shop", "--endpoint", "localhost:5000"]));
    assert!(!sandbox.path("berth.toml").exists());
}

#[test]
fn without_a_file_the_way_to_one_is_shown() {
    let sandbox = Sandbox::new();
    let first = sandbox.berth(&["plan"]);
    assert_snapshot!(first);
    for verb in [&["apply", "--yes"][..], &["destroy", "--yes"], &["outputs"]] {
        assert_eq!(sandbox.berth(verb), first, "{verb:?}");
    }
}

#[test]
fn a_wrong_file_is_told_line_by_line() {
    let sandbox = Sandbox::new();
    sandbox
        .write("stack.toml", "project = \"shop\"\nenviroment = \"dev\"\n[repositories.api]\nscan = true\n");
    assert_snapshot!(sandbox.berth(&["plan", "-f", "stack.toml"]));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let sandbox = Sandbox::new();
    for arguments in
        [&["plan", "--yes"][..], &["outputs", "--format", "xml"], &["outputs", "--json", "--format", "env"]]
    {
        let answer = sandbox.berth(arguments);
        assert!(answer.starts_with("exit code 2\n"), "{answer}");
    }
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let address = closed_port();
    sandbox.berth(&["init", "--project", "shop", "--endpoint", &format!("http://{address}")]);
    assert_snapshot!(sandbox.berth(&["plan"]).replace(&address, "127.0.0.1:PORT"));
}

#[test]
fn the_aws_configuration_is_asked_for_where_it_is_needed() {
    let mut sandbox = Sandbox::new();
    sandbox.berth(&["init", "--project", "shop"]);
    assert_snapshot!(sandbox.berth(&["plan"]));
    sandbox.set("AWS_REGION", "us-east-1");
    assert_snapshot!(sandbox.berth(&["plan"]));
    sandbox.set("AWS_ENDPOINT_URL_ECR", "localhost:5000");
    assert_snapshot!(sandbox.berth(&["plan"]));
}
