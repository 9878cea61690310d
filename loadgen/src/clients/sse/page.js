// Server-sent events in a page: the browser's EventSource.
(task, tell) => {
  tell.opened(tell.now());
  const source = new EventSource(task.path);
  const hear = event => tell.message(tell.now(), event.data);
  source.addEventListener('snapshot', hear);
  source.onmessage = hear;
  source.onerror = () => {
    // It would connect again by itself.
    source.close();
    tell.lost('the event source failed');
  };
  return { start: () => {}, close: () => source.close() };
}
