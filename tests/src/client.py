# Full handshakes in the given versions by turns, and what the server answers to a request in each.
import socket, ssl, sys

port, trusted, versions, handshakes, *identity = sys.argv[1:]

contexts = []
for name in versions.split():
    context = ssl.create_default_context(cafile=trusted)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[name]
    if identity:
        context.load_cert_chain(*identity)
    contexts.append(context)

for number in range(int(handshakes)):
    context = contexts[number % len(contexts)]
    with socket.create_connection(("127.0.0.1", int(port))) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            assert not tls.session_reused
            tls.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
            answer = b""
            while chunk := tls.recv(4096):
                answer += chunk
    assert b" 200 " in answer.split(b"\r\n", 1)[0], answer
    print(tls.version(), answer.rsplit(b"\r\n", 1)[1].decode())
