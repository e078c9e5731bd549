"""Who must show a certificate to the gRPC server, and certificates that change while it serves."""

from pathlib import Path

import grpc
import grpc.aio
import trustme

from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.router.grpc.tls import CertificateFiles
from tests.support.router_rig import PATIENCE_S, Rig, running_router


def issue(authority: trustme.CA, cert: Path, key: Path) -> None:
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)


async def code_of(rig: Rig, trusted: trustme.CA, shown: trustme.LeafCert | None = None) -> str:
    """What becomes of a call of somebody who trusts the one and shows the other."""
    credentials = grpc.ssl_channel_credentials(
        trusted.cert_pem.bytes(),
        None if shown is None else shown.private_key_pem.bytes(),
        None if shown is None else shown.cert_chain_pems[0].bytes(),
    )
    address = rig.grpc_address.replace("127.0.0.1", "localhost")
    async with grpc.aio.secure_channel(address, credentials) as made:
        try:
            await raylax_pb2_grpc.RaylaxStub(made).ListModels(
                raylax_pb2.ListModelsRequest(), timeout=PATIENCE_S
            )
        except grpc.aio.AioRpcError as error:
            return error.code().name
    return "OK"


async def test_clients_must_show_a_certificate_that_is_known(
    checkpoint: Path, tmp_path: Path
) -> None:
    """None, and a stranger's, end in the handshake."""
    ours, clients, others = trustme.CA(), trustme.CA(), trustme.CA()
    cert, key, known = (tmp_path / name for name in ("cert.pem", "key.pem", "known.pem"))
    issue(ours, cert, key)
    clients.cert_pem.write_to_path(known)
    async with running_router(
        checkpoint, tls_cert=str(cert), tls_key=str(key), tls_client_ca=str(known)
    ) as rig:
        found = [
            await code_of(rig, ours, shown)
            for shown in (None, others.issue_cert("alice"), clients.issue_cert("alice"))
        ]

    assert found == ["UNAVAILABLE", "UNAVAILABLE", "OK"]


async def test_new_files_are_shown_to_who_connects_from_then_on(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Without a new start; a file that is gone for a moment changes nothing."""
    before, after = trustme.CA(), trustme.CA()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issue(before, cert, key)
    async with running_router(checkpoint, tls_cert=str(cert), tls_key=str(key)) as rig:
        assert await code_of(rig, before) == "OK"
        cert.unlink()
        assert await code_of(rig, before) == "OK"
        issue(after, cert, key)
        found = [await code_of(rig, one) for one in (before, after)]

    assert found == ["UNAVAILABLE", "OK"]


def test_files_are_read_when_they_have_changed_alone(tmp_path: Path) -> None:
    """It is asked at every handshake."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issue(trustme.CA(), cert, key)
    files = CertificateFiles(cert, key, None)
    files.read()
    again = files.read_if_changed()
    issue(trustme.CA(), cert, key)

    assert again is None
    assert files.read_if_changed() is not None
    assert files.read_if_changed() is None
