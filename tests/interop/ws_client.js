// The client of npm's ws against an echo server. usage: node ws_client.js URL
//
// With a wss:// URL, it trusts the authority in TLS_CA alone.
'use strict';
const { once } = require('events');
const { readFileSync } = require('fs');
const WebSocket = require('ws');
const { load, expect, run, going } = require('./messages.js');

const url = process.argv[2];
const ca = url.startsWith('wss') ? readFileSync(process.env.TLS_CA) : undefined;

async function connect() {
  const ws = new WebSocket(url, { maxPayload: 0, ca });
  ws.ended = new Promise((resolve) => {
    ws.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await once(ws, 'open');
  return ws;
}

async function received(ws) {
  const [data, isBinary] = await once(ws, 'message');
  return isBinary ? data : data.toString();
}

async function echoes(ws) {
  for (const [name, message] of load()) {
    ws.send(message);
    expect(`${name} comes back`, await received(ws), message);
  }
}

async function fragments(ws) {
  for (const [name, message] of load()) {
    const data = Buffer.from(message);
    const binary = typeof message !== 'string';
    const third = Math.floor(data.length / 3);
    const ponged = once(ws, 'pong');
    ws.send(data.subarray(0, third), { binary, fin: false });
    ws.ping('in between');
    ws.send(data.subarray(third, 2 * third), { binary, fin: false });
    ws.send(Buffer.alloc(0), { binary, fin: false });
    ws.send(data.subarray(2 * third), { binary, fin: true });
    expect(`${name} in fragments`, await received(ws), message);
    expect('a Ping between them', String((await ponged)[0]), 'in between');
  }
}

async function pings(ws) {
  for (const payload of [Buffer.alloc(0), Buffer.from('marco'), Buffer.alloc(125)]) {
    ws.ping(payload);
    expect('a Ping is answered', (await once(ws, 'pong'))[0], payload);
  }
}

run(async () => {
  let ws = await connect();
  await echoes(ws);
  await fragments(ws);
  await pings(ws);
  ws.close(4000, 'the client is done');
  expect('the code of our Close comes back', (await ws.ended).code, 4000);

  ws = await connect();
  ws.close();
  const { code } = await ws.ended;
  expect('a Close without a code is answered', code === 1005 || code === 1000, true);

  ws = await connect();
  ws.send('close 4001 the server is done');
  const end = await ws.ended;
  expect('the server closes', `${end.code} ${end.reason}`, '4001 the server is done');

  const several = [await connect(), await connect(), await connect()];
  console.log(going);
  for (const one of several) expect('the server goes away', (await one.ended).code, 1001);
});
