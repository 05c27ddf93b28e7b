"""What looks like a secret, and what only looks a little like one."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.secret_values import hide_secrets, secret_in, secrets_in

# Made up here, so that no scanner of secrets stops at this file.
KEY = base64.b64encode(random.Random(1).randbytes(64)).decode()
TOKEN = "eyJ" + base64.urlsafe_b64encode(b'{"alg":"none"}').decode().strip("=")
SECRETS = {
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\n",
    "storage key": KEY,
    "connection string": f"DefaultEndpointsProtocol=https;AccountKey={KEY};",
    "bus": "Endpoint=sb://x.example/;SharedAccessKey=abcdefgh",
    "sas": "https://x.example/c?sv=2024-11-04&sr=c&sig=abc%2Fdef%3D",
    "jwt": f"{TOKEN}.{TOKEN}.c2lnbmVk",
    "bearer": "Authorization: Bearer abcdefghij",
    "git token": "ghp_" + "a1B2" * 9,
    "aws": "AKIA" + "ABCDEFGH" * 2,
    "password": "Server=x;Password=hunter2;",
    "address": "https://someone:hunter2@x.example/path",
    "hex": "9f86d081884c7d659a2feaa0c55ad015",
}
PLAIN = [
    "",
    "6f1d3c52-8f6b-4a57-9d0e-2f5b8c3a7e10",
    "00000000-0000-0000-0000-000000000000",
    "westeurope",
    "registry.example.com/vision/strata/digit_recognition",
    "registry.example.com/apples@sha256:" + "0123456789abcdef" * 4,
    "az://results/vision/2026",
    "https://argo.example.com:2746",
    "/subscriptions/6f1d3c52-8f6b-4a57-9d0e-2f5b8c3a7e10/resourceGroups/vision",
    "https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json",
    "python -m domains.digit_recognition.train --epochs ${{inputs.epochs}}",
    "a_rather_long_name_of_a_dataset_for_training_and_testing",
    "/mnt/data/ImageNet2012/Train/Level1/Level2/Level3/Level4/Level5",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Zk2aV4n0pQ1rS7tU9wX3yB5cD6eF7 me",
]


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_seen(text: str) -> None:
    assert secret_in(text) is not None
    assert list(secrets_in({"a": [{"b": text}]})) == [("a.0.b", secret_in(text))]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_none_is_let_through(text: str) -> None:
    assert secret_in(text) is None
    assert hide_secrets(text) == text


@given(st.integers(0, 2**32), st.sampled_from(["hex", "letters", "storage"]))
def test_random_keys_are_seen_whatever_they_are(seed: int, kind: str) -> None:
    drawn = random.Random(seed).randbytes(64)
    encoded = base64.b64encode(drawn).decode()
    text = {
        "hex": drawn.hex()[:40],
        "letters": encoded.replace("/", "").replace("+", "")[:40],
        # With slashes it is known by its name, as such keys are handed out.
        "storage": f"AccountName=x;AccountKey={encoded}",
    }[kind]

    assert secret_in(text) is not None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at https://x/c?sv=1&sig=abc%2F&se=2 failed", "?sv=1&sig=***&se=2 failed"),
        ("sent Bearer abcdefghij.k to", "sent Bearer *** to"),
        ("AccountKey=abc+/=;EndpointSuffix=x", "AccountKey=***;EndpointSuffix=x"),
        ("https://me:hunter2@x/", "https://me:***@x/"),
        (f"{TOKEN}.{TOKEN}.c2lnbmVk was refused", "*** was refused"),
    ],
)
def test_a_message_is_shown_without_its_secrets(text: str, shown: str) -> None:
    assert shown in hide_secrets(text)
    assert "hunter2" not in hide_secrets(text)
