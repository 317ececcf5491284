// Raters without browsers, in a process of their own: node label-raters.js URL RATERS VOTES THINK_MS prints how long acknowledgements took.
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const [url, raters, votes, thinkMs] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const agent = new Agent({ keepAlive: true });

const ask = (path, { body, cookie } = {}) =>
  new Promise((resolve, reject) => {
    const headers = { ...(cookie && { cookie }), ...(body && { 'content-type': 'application/json' }) };
    const sent = request(`${url}${path}`, { agent, method: body ? 'POST' : 'GET', headers }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        const [made] = response.headers['set-cookie'] ?? [];
        if (response.statusCode === 200) resolve({ body: JSON.parse(text), cookie: made?.split(';')[0] });
        else reject(new Error(`${response.statusCode}: ${text}`));
      });
    });
    sent.on('error', reject);
    sent.end(body && JSON.stringify(body));
  });

const times = [];
async function rate() {
  const { cookie } = await ask('/api/join', { body: { token: null, consent: null } });
  for (let n = 0; n < votes / raters; n++) {
    const [question] = (await ask('/api/work', { cookie })).body.questions;
    const shown = [question.first.sha256, question.second.sha256];
    const about = { ms: 1, visible_ms: 1, media_ready_ms: 1, ui: 'load' };
    const body = {
      vote: `v_${randomBytes(16).toString('hex')}`,
      ticket: question.ticket,
      answer: 'first',
      shown,
      ...about,
    };
    await sleep(thinkMs * (0.5 + Math.random()));
    const started = performance.now();
    await ask('/api/votes', { cookie, body });
    times.push(performance.now() - started);
  }
}

await Promise.all(Array.from({ length: raters }, rate));
agent.destroy();
times.sort((a, b) => a - b);
const at = (share) => times[Math.floor(share * (times.length - 1))];
process.stdout.write(JSON.stringify({ p50: at(0.5), p95: at(0.95), p99: at(0.99) }));
