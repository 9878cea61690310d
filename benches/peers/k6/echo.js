// A closed loop of echoes on k6: each virtual user sends again as soon as its message has come back.
import { WebSocket } from 'k6/experimental/websockets';
import { Trend } from 'k6/metrics';

const delay = new Trend('delay', true);
const seconds = Number(__ENV.SECONDS);
const text = '.'.repeat(150);

export const options = {
  scenarios: {
    speak: { executor: 'per-vu-iterations', vus: Number(__ENV.CLIENTS), iterations: 1, maxDuration: '10m' },
  },
};

export default function () {
  const socket = new WebSocket(`ws://127.0.0.1:${__ENV.PORT}/ws/echo`);
  let sent;
  const say = () => {
    sent = Date.now();
    socket.send(text);
  };
  socket.onopen = say;
  socket.onmessage = () => {
    delay.add(Date.now() - sent);
    say();
  };
  setTimeout(() => socket.close(), seconds * 1000);
}
