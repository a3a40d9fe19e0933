"""What the Python scripts of the tests begin with: TLS between two objects in one process."""

import os, ssl, sys, threading

KEY, CERT = sys.argv[1:3]

def context(purpose):
    context = ssl.SSLContext(purpose)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(CERT)
    return context

def server(): return context(ssl.PROTOCOL_TLS_SERVER)
def client(): return context(ssl.PROTOCOL_TLS_CLIENT)

def with_key(context):
    context.load_cert_chain(CERT, KEY)
    return context

def handshake(server, client, version=ssl.TLSVersion.TLSv1_3):
    """Both ends show a certificate and prove its key; says which protocol they agreed on."""
    client.minimum_version = client.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(to_server, to_client, server_side=True)
    other = client.wrap_bio(to_client, to_server)
    waiting = [other, one]
    for _ in range(20):
        for end in list(waiting):
            try:
                end.do_handshake()
                waiting.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not waiting:
            break
    other.write(b"ping")
    assert one.read(4) == b"ping"
    assert one.getpeercert() and other.getpeercert()
    return one.version()

def both(server, client):
    return [handshake(server, client, version)
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]

def refused(server, client):
    """Both can't, for a key does not sign."""
    try:
        both(server, client)
    except ssl.SSLError:
        return
    raise SystemExit("signed")

def child(work):
    """Forks a child that does `work` and nothing else; returns its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print("child:", repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return pid

def ended_well(pid):
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f"the child ended with {status}"

def become_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
