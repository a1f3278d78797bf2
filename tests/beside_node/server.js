// Node's side of `tests/beside_node.rs`: servers that carry out the small programs that requests bring in their
// path. `ours.rs` is the same in Rust, step by step: what is changed here has to be changed there.
'use strict';

const http = require('http');

// What watched exchanges told, by the key that their program gave.
const logs = new Map();

// Steps that act at once. What they return, or the code of what they throw, is seen.
const acts = {
  status: ({ res }, [code]) => { res.statusCode = Number(code); },
  reason: ({ res }, [text]) => { res.statusMessage = text; },
  set: ({ res }, [name, value]) => { res.setHeader(name, value); },
  'set-all': ({ res }, [name, ...values]) => { res.setHeader(name, values); },
  'set-many': ({ res }, fields) => { res.setHeaders(new Map(pairs(fields))); },
  append: ({ res }, [name, value]) => { res.appendHeader(name, value); },
  'append-all': ({ res }, [name, ...values]) => { res.appendHeader(name, values); },
  remove: ({ res }, [name]) => { res.removeHeader(name); },
  head: ({ res }, [code, reason, ...fields]) => {
    if (reason) res.writeHead(Number(code), reason, Object.fromEntries(pairs(fields)));
    else if (fields.length) res.writeHead(Number(code), Object.fromEntries(pairs(fields)));
    else res.writeHead(Number(code));
  },
  'head-flat': ({ res }, [code, ...fields]) => { res.writeHead(Number(code), pairs(fields).flat()); },
  'head-pairs': ({ res }, [code, ...fields]) => { res.writeHead(Number(code), pairs(fields)); },
  flush: ({ res }) => { res.flushHeaders(); },
  write: ({ res }, [text = '']) => res.write(text),
  end: ({ res }, [text]) => { res.end(text); },
  trailers: ({ res }, fields) => { res.addTrailers(Object.fromEntries(pairs(fields))); },
  continue: ({ res }) => { res.writeContinue(); },
  processing: ({ res }) => { res.writeProcessing(); },
  hints: ({ res }, fields) => { res.writeEarlyHints(grouped(fields)); },
  information: ({ res }, [code, ...fields]) => { res.writeInformation(Number(code), pairs(fields).flat()); },
  strict: ({ res }) => { res.strictContentLength = true; },
  undated: ({ res }) => { res.sendDate = false; },
  cork: ({ res }) => { res.cork(); },
  uncork: ({ res }) => { res.uncork(); },
  corked: ({ res }) => res.writableCorked,
  destroy: ({ res }) => { res.destroy(); },
  'destroy-request': ({ req }) => { req.destroy(); },
  get: ({ res }, [name]) => res.getHeader(name) ?? 'none',
  has: ({ res }, [name]) => res.hasHeader(name),
  names: ({ res }) => res.getHeaderNames(),
  'raw-names': ({ res }) => res.getRawHeaderNames(),
  sent: ({ res }) => res.headersSent,
  ended: ({ res }) => res.writableEnded,
  'get-status': ({ res }) => res.statusCode,
  'get-reason': ({ res }) => res.statusMessage,
  method: ({ req }) => req.method,
  url: ({ req }) => req.url,
  version: ({ req }) => [req.httpVersion, req.httpVersionMajor, req.httpVersionMinor],
  complete: ({ req }) => req.complete,
  raw: ({ req }) => JSON.stringify(req.rawHeaders),
  joined: ({ req }) => JSON.stringify(req.headers),
  distinct: ({ req }) => JSON.stringify(req.headersDistinct),
  'raw-trailers': ({ req }) => JSON.stringify(req.rawTrailers),
  'joined-trailers': ({ req }) => JSON.stringify(req.trailers),
  'distinct-trailers': ({ req }) => JSON.stringify(req.trailersDistinct),
  content: (run) => run.content,
  log: ({ req, res }, [key]) => watch(logOf(key), req, res),
  // Ends with everything that was seen before.
  report: ({ res, seen }) => { res.end(seen.join(' ')); },
};

// Steps that the next one waits for.
const waits = {
  read: (run, _words, next) => {
    run.req.setEncoding('latin1').on('data', (text) => { run.content += text; }).on('end', next);
  },
  // Leaves what was seen where `show` finds it.
  note: ({ seen }, [key], next) => {
    const log = logOf(key);
    log.lines.push(seen.join(' '));
    log.closed = 2;
    log.over?.();
    next();
  },
  tick: (_run, _words, next) => { setTimeout(next, 1); },
  // Until the client has ended its side.
  left: ({ req }, _words, next) => { req.socket.once('end', next); },
  // Answers with the log of another exchange as soon as that is over.
  show: ({ res }, [key], next) => {
    const log = logOf(key);
    const show = () => setImmediate(() => { res.end(log.lines.join(',')); next(); });
    if (log.closed === 2) show();
    else log.over = show;
  },
};

function logOf(key) {
  if (!logs.has(key)) logs.set(key, { lines: [], closed: 0, over: null });
  return logs.get(key);
}

function watch(log, req, res) {
  const note = (line) => {
    log.lines.push(line);
    if (line.endsWith(' close') && ++log.closed === 2) log.over?.();
  };
  for (const event of ['end', 'aborted', 'close']) req.on(event, () => note(`req ${event}`));
  for (const event of ['finish', 'close']) res.on(event, () => note(`res ${event}`));
  req.on('error', (error) => note(`req ${error.code}`));
  res.on('error', (error) => note(`res ${error.code}`));
}

// `name=value` words as pairs.
function pairs(words) {
  return words.map((word) => {
    const at = word.indexOf('=');
    return [word.slice(0, at), word.slice(at + 1)];
  });
}

// The same as an object, with an array where a name stands more than once.
function grouped(words) {
  const fields = {};
  for (const [name, value] of pairs(words)) {
    fields[name] = name in fields ? [fields[name], value].flat() : value;
  }
  return fields;
}

function decode(text) {
  return text.replace(/~([0-9a-f]{2})/g, (_all, hex) => String.fromCharCode(parseInt(hex, 16)));
}

function go(run) {
  for (;;) {
    const step = run.steps.shift();
    if (step === undefined) return;
    const space = step.indexOf(' ');
    const name = space < 0 ? step : step.slice(0, space);
    const words = space < 0 ? [] : step.slice(space + 1).split('|');
    if (waits[name]) return waits[name](run, words, () => go(run));
    try {
      const value = acts[name](run, words);
      run.seen.push(value === undefined ? 'ok' : String(value));
    } catch (error) {
      run.seen.push(error.code ?? String(error));
    }
  }
}

function handle(seen, req, res) {
  // Node ends the process where nobody listens.
  res.on('error', () => {});
  req.on('error', () => {});
  if (!req.url.startsWith('/do/')) return res.end(`${req.method} ${req.url}`);
  const steps = decode(req.url.slice(4)).split(' & ');
  go({ req, res, steps, seen, content: '' });
}

// Sends back what comes, behind a head and what came with the request.
function echo(line, socket, head) {
  socket.on('error', () => {});
  socket.write(`${line}\r\n\r\n`);
  socket.write(head);
  socket.on('data', (bytes) => socket.write(bytes));
  socket.on('end', () => socket.end('bye'));
}

function serve(options, prepare) {
  const server = http.createServer({ keepAliveTimeout: 5000, ...options }, (req, res) => handle([], req, res));
  prepare?.(server);
  return server;
}

const servers = {
  plain: serve({}),
  limited: serve({}, (server) => { server.maxRequestsPerSocket = 2; }),
  hasty: serve({ keepAliveTimeout: 0 }),
  joined: serve({ joinDuplicateHeaders: true }),
  unique: serve({ uniqueHeaders: ['X-List', 'set-cookie'] }),
  rejecting: serve({ rejectNonStandardBodyWrites: true }),
  hostless: serve({ requireHostHeader: false }),
  halfopen: serve({}, (server) => { server.httpAllowHalfOpen = true; }),
  small: serve({ maxHeaderSize: 1024 }),
  listening: serve({}, (server) => {
    server.on('checkContinue', (req, res) => handle(['checkContinue'], req, res));
    server.on('checkExpectation', (req, res) => handle(['checkExpectation'], req, res));
    server.on('upgrade', (req, socket, head) => {
      if (req.url === '/refused') {
        socket.write('HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n');
        return socket.destroy();
      }
      const line = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\nX-Url: ';
      echo(line + req.url, socket, head);
    });
    server.on('connect', (req, socket, head) => echo(`HTTP/1.1 200 OK\r\nX-Url: ${req.url}`, socket, head));
  }),
  telling: serve({}, (server) => {
    server.on('clientError', (error, socket) => socket.end(`code ${error.code}`));
  }),
};

// Goes with the test, also where that is killed.
const parent = process.ppid;
setInterval(() => { if (process.ppid !== parent) process.exit(); }, 500);

// One line: what of Node's is missing in this version, and the ports.
const missing = ['writeInformation', 'writeEarlyHints', 'setHeaders', 'appendHeader']
  .filter((name) => !(name in http.ServerResponse.prototype));
const ports = Object.entries(servers).map(([name, server]) => new Promise((resolve) => {
  server.listen(0, '127.0.0.1', () => resolve(`${name}=${server.address().port}`));
}));
Promise.all(ports).then((list) => console.log([`node=${process.versions.node}`,
  ...missing.map((name) => `missing=${name}`), ...list].join(' ')));
