"""The command lines of etcd, kube-apiserver and kube-controller-manager. Figures: 2 cores, Kubernetes 1.37."""

from pathlib import Path

from xnai_controlplane.process import Process

# How far Go lets the heap grow between two collections, in percent (100 unless set). MiB anonymous of all three,
# and seconds of CPU of kube-apiserver for 1,000 objects: 50: 200; 30: 177, 6.6; 20: 167, 7.0; 10: 153, 10 to 13.
# What else was tried is in docs/explanation/footprint.md.
_SMALL = {"GOGC": "20"}


def etcd(binaries: Path, data: Path, runtime: Path) -> Process:
    """etcd on unix sockets only: no port, no other user."""
    client, peer = f"unix://{runtime}/etcd.sock:0", f"unix://{runtime}/etcd-peer.sock:0"
    return Process(
        "etcd",
        (
            str(binaries / "etcd"),
            "--name=xnai",
            f"--data-dir={data}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=xnai={peer}",
            "--snapshot-count=1000",
            "--auto-compaction-retention=1h",
            "--log-level=warn",
        ),
        _SMALL,
        # etcd 3.7.0 hangs in "stopping serving peer traffic" when its peer listener is a unix socket. Killing it loses
        # nothing: what it acknowledged is in the synced log. Can go when a later etcd ends by itself.
        grace_seconds=1,
    )


def apiserver(binaries: Path, certificates: Path, runtime: Path, port: int) -> Process:
    """kube-apiserver on loopback. No API group is switched off: its own informers would wait for it for ever."""
    return Process(
        "kube-apiserver",
        (
            str(binaries / "kube-apiserver"),
            f"--etcd-servers=unix://{runtime}/etcd.sock:0",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={certificates}/apiserver.crt",
            f"--tls-private-key-file={certificates}/apiserver.key",
            f"--client-ca-file={certificates}/ca.crt",
            f"--cert-dir={certificates}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={certificates}/service-accounts.key",
            f"--service-account-signing-key-file={certificates}/service-accounts.key",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            # Pods can be written without service accounts and their tokens.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition,Priority",
            "--profiling=false",
            "--event-ttl=24h",
        ),
        _SMALL,
    )


def controller_manager(binaries: Path, kubeconfig: Path) -> Process:
    """Two controllers: without them a deleted namespace stays Terminating and ownerReferences collect nothing."""
    return Process(
        "kube-controller-manager",
        (
            str(binaries / "kube-controller-manager"),
            f"--kubeconfig={kubeconfig}",
            "--controllers=namespace-controller,garbage-collector-controller",
            "--leader-elect=false",
            "--secure-port=0",
            "--profiling=false",
        ),
        _SMALL,
    )
