// The client of npm's ws, which compresses, against an echo server that does so too: every choice of
// takeover, and windows of each size. usage: node ws_deflate_client.js URL
'use strict';
const { once } = require('events');
const WebSocket = require('ws');
const { load, expect, run, going } = require('./messages.js');

const url = process.argv[2];

async function connect(perMessageDeflate) {
  const ws = new WebSocket(url, { maxPayload: 0, perMessageDeflate });
  ws.ended = new Promise((resolve) => ws.on('close', (code) => resolve(code)));
  await once(ws, 'open');
  return ws;
}

async function echoed(ws, message) {
  ws.send(message);
  const [data, isBinary] = await once(ws, 'message');
  return isBinary ? data : data.toString();
}

async function echoes(options, agreed) {
  const ws = await connect({ threshold: 0, ...options });
  expect(`${JSON.stringify(options)}: ${ws.extensions || 'nothing'}`, ws.extensions !== '', agreed);
  // Those of 1 MiB with the defaults alone, for they take their time.
  const all = load().filter(([, m]) => m.length < 100000 || Object.values(options).every((v) => !v));
  for (const [name, message] of [...all, ...all]) {
    const found = await echoed(ws, message);
    const same = Buffer.isBuffer(message) ? message.equals(found) : found === message;
    if (!same) expect(`${name} comes back`, found, message);
  }
  ws.close(4000);
  expect('the Close comes back', await ws.ended, 4000);
}

run(async () => {
  for (const serverNoContextTakeover of [undefined, true])
    for (const clientNoContextTakeover of [undefined, true])
      for (const serverMaxWindowBits of [undefined, 9, 12, 15])
        for (const clientMaxWindowBits of [undefined, true, 8, 9, 12, 15])
          await echoes({
            serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits,
          }, true);
  await echoes({ serverMaxWindowBits: 8 }, false);
  const last = await connect(true);
  console.log(going);
  expect('the server goes away', await last.ended, 1001);
});
