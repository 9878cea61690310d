// A load generator on k6 as its documentation writes it: one virtual user for each connection.
import { WebSocket } from 'k6/experimental/websockets';
import { Trend } from 'k6/metrics';

const delay = new Trend('delay', true);
const seconds = Number(__ENV.SECONDS);

export const options = {
  scenarios: {
    listen: { executor: 'per-vu-iterations', vus: Number(__ENV.CLIENTS), iterations: 1, maxDuration: '10m' },
  },
};

export default function () {
  const socket = new WebSocket(`ws://127.0.0.1:${__ENV.PORT}/ws`);
  socket.onmessage = (event) => {
    const message = JSON.parse(event.data);
    if (message.sent) delay.add(Date.now() - message.sent / 1000);
  };
  setTimeout(() => socket.close(), seconds * 1000);
}
