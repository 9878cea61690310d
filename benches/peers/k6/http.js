// A closed loop on k6: each virtual user asks again as soon as it has its answer.
import http from 'k6/http';

export const options = { vus: Number(__ENV.CLIENTS), duration: `${__ENV.SECONDS}s` };

export default function () {
  http.get(`http://127.0.0.1:${__ENV.PORT}/quotes`);
}
