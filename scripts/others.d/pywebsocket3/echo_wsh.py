"""pywebsocket3's handler of /echo: what comes goes back, text as text and binary as binary."""


def web_socket_do_extra_handshake(request):
    """Takes everybody, and no extension."""


def web_socket_transfer_data(request):
    """Returns messages until the client closes."""
    while (message := request.ws_stream.receive_message()) is not None:
        request.ws_stream.send_message(message, binary=isinstance(message, bytes))
