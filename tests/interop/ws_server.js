// An echo server of npm's ws. Also does what a text asks for: "close CODE REASON", "ping PAYLOAD"
// (then says "pong PAYLOAD"), "fragments TEXT" (echoes TEXT in fragments).
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const { WebSocketServer } = require('ws');

const file = (name) => fs.readFileSync(process.env[name]);

function obey(ws, command, rest) {
  if (command === 'close') {
    const [, code, reason] = /^(\d+) ?(.*)$/s.exec(rest);
    ws.close(Number(code), reason);
  } else if (command === 'ping') {
    ws.once('pong', (data) => ws.send(`pong ${data}`));
    ws.ping(rest);
  } else {
    const data = Buffer.from(rest); // a cut may fall inside a character
    const middle = Math.floor(data.length / 2);
    ws.send(data.subarray(0, middle), { binary: false, fin: false });
    ws.ping('in between');
    ws.send('', { binary: false, fin: false });
    ws.send(data.subarray(middle), { binary: false, fin: true });
  }
}

// --deflate: compresses with clients that offer it. --tls: with TLS_CERTIFICATE and TLS_KEY.
const perMessageDeflate = process.argv.includes('--deflate') && { threshold: 0 };
const tls = process.argv.includes('--tls');
const listener = tls
  ? https.createServer({ cert: file('TLS_CERTIFICATE'), key: file('TLS_KEY') })
  : http.createServer();
const server = new WebSocketServer({ server: listener, maxPayload: 0, perMessageDeflate });
listener.listen(0, '127.0.0.1', () => {
  console.log(`listening on ${tls ? 'wss' : 'ws'}://127.0.0.1:${listener.address().port}/`);
});
server.on('connection', (ws) => {
  ws.on('message', (data, isBinary) => {
    const command = isBinary ? null : /^(close|ping|fragments) (.*)$/s.exec(data.toString());
    if (command) obey(ws, command[1], command[2]);
    else ws.send(data, { binary: isBinary });
  });
});
process.on('SIGTERM', () => {
  listener.close(() => process.exit(0));
  for (const ws of server.clients) ws.close(1001);
});
