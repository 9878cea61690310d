// WebSocket in a page: the browser's own.
(task, tell) => {
  tell.opened(tell.now());
  const socket = task.subprotocol
    ? new WebSocket(`ws://${location.host}${task.path}`, task.subprotocol)
    : new WebSocket(`ws://${location.host}${task.path}`);
  socket.binaryType = 'arraybuffer';
  // The stream begins with the snapshot of nothing where some symbols are wanted; they are said in a message.
  let unasked = task.symbols !== null, closing = false;
  socket.onmessage = event => {
    const at = tell.now();
    if (!unasked) return tell.message(at, event.data);
    unasked = false;
    tell.aside();
    socket.send(JSON.stringify({ subscribe: task.symbols.split(',') }));
  };
  const ended = new Promise(done => {
    socket.onclose = ({ code }) => {
      if (!closing) tell.lost(`the socket closed with code ${code}`);
      done(code);
    };
  });
  return {
    start: () => {},
    close: async () => {
      if (socket.readyState > WebSocket.OPEN) return;
      closing = true;
      const from = tell.now();
      socket.close(1000);
      tell.closed(await ended, tell.now() - from);
    },
  };
}
