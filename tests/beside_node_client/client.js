// Node's side of `tests/beside_node_client.rs`: a client that carries out small programs, one for each line of its
// input, and tells on a line of its output what it saw. `ours.rs` is the same in Rust, step by step: what is changed
// here has to be changed there.
'use strict';

const http = require('http');
const readline = require('readline');

// Words of `ask` that are options of the request.
const options = {
  off: (made) => { made.agent = false; },
  timeout: (made, value) => { made.timeout = Number(value); },
  'header-size': (made, value) => { made.maxHeaderSize = Number(value); },
  join: (made) => { made.joinDuplicateHeaders = true; },
  host: (made, value) => { made.hostname = value; },
  port: (made, value) => { made.port = Number(value); },
  path: (made, value) => { made.path = value; },
  auth: (made, value) => { made.auth = value; },
  header: (made, value) => {
    const [name, ...rest] = value.split(': ');
    made.headers ??= {};
    made.headers[name] = name in made.headers ? [made.headers[name], rest.join(': ')].flat() : rest.join(': ');
  },
};

// Words of `agent`.
const agentOptions = {
  'no-keep': (made) => { made.keepAlive = false; },
  sockets: (made, value) => { made.maxSockets = Number(value); },
  total: (made, value) => { made.maxTotalSockets = Number(value); },
  free: (made, value) => { made.maxFreeSockets = Number(value); },
  scheduling: (made, value) => { made.scheduling = value; },
};

// Steps that act at once. What they return, or the code of what they throw, is told.
const acts = {
  ask,
  agent: (run, words) => {
    const made = { keepAlive: true, timeout: 5000 };
    for (const word of words) agentOptions[halves(word)[0]](made, halves(word)[1]);
    run.agents.push(new http.Agent(made));
  },
  sockets: ({ agent }) => counts(agent.sockets),
  free: ({ agent }) => counts(agent.freeSockets),
  requests: ({ agent }) => counts(agent.requests),
  total: ({ agent }) => `${agent.totalSocketCount}`,
  // How an agent calls connections to here.
  name: ({ agent }, words) => {
    const [host, port, ...rest] = words;
    const made = { host, port: Number(port) };
    for (const [name, value] of pairs(rest)) made[name] = name === 'family' ? Number(value) : value;
    return agent.getName(made);
  },
  'agent-destroy': ({ agent }) => { agent.destroy(); },
  switch: (run, [at]) => { run.current = run.exchanges[Number(at) - 1]; },
  set: ({ req }, [name, value]) => { req.setHeader(name, value); },
  'set-all': ({ req }, [name, ...values]) => { req.setHeader(name, values); },
  'set-many': ({ req }, fields) => { req.setHeaders(new Map(pairs(fields))); },
  append: ({ req }, [name, value]) => { req.appendHeader(name, value); },
  remove: ({ req }, [name]) => { req.removeHeader(name); },
  get: ({ req }, [name]) => req.getHeader(name) ?? 'none',
  has: ({ req }, [name]) => `${req.hasHeader(name)}`,
  names: ({ req }) => `${req.getHeaderNames()}`,
  'raw-names': ({ req }) => `${req.getRawHeaderNames()}`,
  sent: ({ req }) => `${req.headersSent}`,
  ended: ({ req }) => `${req.writableEnded}`,
  finished: ({ req }) => `${req.writableFinished}`,
  destroyed: ({ req }) => `${req.destroyed}`,
  reused: ({ req }) => `${req.reusedSocket}`,
  'req-method': ({ req }) => req.method,
  'req-path': ({ req }) => req.path,
  'req-host': ({ req }) => req.host,
  'req-protocol': ({ req }) => req.protocol,
  keeps: ({ req }) => `${req.shouldKeepAlive}`,
  corked: ({ req }) => `${req.writableCorked}`,
  flush: ({ req }) => { req.flushHeaders(); },
  write: ({ req }, [text = '']) => req.write(text),
  // So many bytes.
  much: ({ req }, [count]) => { req.write('x'.repeat(Number(count))); },
  end: ({ req }, [text]) => { req.end(text); },
  'end-told': (run, [text]) => { const { note } = run.current; run.req.end(text, () => note('ended')); },
  'write-told': (run, [text]) => { const { note } = run.current; run.req.write(text, () => note('written')); },
  trailers: ({ req }, fields) => { req.addTrailers(Object.fromEntries(pairs(fields))); },
  strict: ({ req }) => { req.strictContentLength = true; },
  cork: ({ req }) => { req.cork(); },
  uncork: ({ req }) => { req.uncork(); },
  destroy: ({ req }) => { req.destroy(); },
  'destroy-with': ({ req }) => { req.destroy(own()); },
  'set-timeout': ({ req }, [ms]) => { req.setTimeout(Number(ms)); },
  'res-destroy': ({ res }) => { res.destroy(); },
  'res-destroy-with': ({ res }) => { res.destroy(own()); },
  pause: ({ res }) => { res.pause(); },
  resume: ({ res }) => { res.resume(); },
  status: ({ res }) => res.statusCode,
  reason: ({ res }) => JSON.stringify(res.statusMessage),
  version: ({ res }) => res.httpVersion,
  complete: ({ res }) => `${res.complete}`,
  raw: ({ res }) => JSON.stringify(res.rawHeaders),
  joined: ({ res }) => JSON.stringify(res.headers),
  distinct: ({ res }) => JSON.stringify(res.headersDistinct),
  'raw-trailers': ({ res }) => JSON.stringify(res.rawTrailers),
  'joined-trailers': ({ res }) => JSON.stringify(res.trailers),
  'distinct-trailers': ({ res }) => JSON.stringify(res.trailersDistinct),
  'socket-write': ({ socket }, [text]) => { socket.write(text, 'latin1'); },
  'socket-end': ({ socket }, [text]) => { socket?.end(text); },
  'socket-destroy': ({ socket }) => { socket.destroy(); },
};

// Steps that need no request.
const anytime = new Set(['ask', 'switch', 'agent', 'sockets', 'free', 'requests', 'total', 'name', 'agent-destroy']);

// Steps that are about a response.
const views = new Set(['complete', 'status', 'reason', 'version', 'raw', 'joined', 'distinct']);

// What the program did in the exchange that it is about.
class Exchange {
  constructor(run, words) {
    this.run = run;
    this.at = run.exchanges.length;
    this.flags = new Set(words);
    this.lines = [];
    this.open = 1;
    this.note = (line) => note(this, line);
    this.closed = (line) => {
      this.open -= 1;
      note(this, line);
      if (this.open === 0) setImmediate(() => setImmediate(() => finished(run)));
    };
  }
}

class Run {
  constructor({ port, program }) {
    this.port = port;
    this.agents = [new http.Agent({ keepAlive: true, timeout: 5000 })];
    this.steps = program.split(' & ');
    this.exchanges = [];
    this.current = null;
    this.log = [];
    this.waiting = null;
    this.over = new Promise((resolve) => { this.tell = resolve; });
  }

  get agent() { return this.agents.at(-1); }
  get req() { return this.current.req; }
  get res() { return this.current.res; }
  get socket() { return this.current.socket; }
}

// How many there are, by name.
function counts(lists) {
  return JSON.stringify(Object.entries(lists).map(([name, list]) => `${name} ${list.length}`).sort());
}

function own() {
  return Object.assign(new Error('of the program'), { code: 'ERR_USER' });
}

function note(exchange, line) {
  const { run, at } = exchange;
  exchange.lines.push(line);
  const last = run.log.at(-1);
  const [name] = line.split(' ', 1);
  // How content is cut into pieces means nothing.
  if (last?.at === at && name === 'data' && last.line.startsWith('data ')) last.line += line.slice(5);
  else run.log.push({ at, line });
  proceed(run);
}

// Goes on where that is what was waited for.
function proceed(run) {
  const { waiting } = run;
  if (!waiting) return;
  const { exchange, word, count } = waiting;
  const seen = exchange.lines.filter((line) => line.startsWith(word)).length;
  if (seen < count) return;
  run.waiting = null;
  go(run);
}

// All exchanges may be over.
function finished(run) {
  if (run.exchanges.some(({ open }) => open > 0)) return;
  if (run.waiting?.word === 'over') {
    run.waiting = null;
    go(run);
  } else if (run.waiting) {
    run.log.push({ at: 0, line: `never ${run.waiting.word}` });
    run.waiting = null;
    go(run);
  } else if (run.steps.length === 0) {
    run.tell();
  }
}

function ask(run, [method, path, ...words]) {
  const made = { method, agent: run.agent };
  let userinfo = '';
  for (const word of words) {
    const [name, value] = halves(word);
    if (name === 'userinfo') userinfo = `${value}@`;
    else options[name]?.(made, value?.replace('PORT', run.port));
  }
  const url = path.startsWith('/')
    ? `http://${userinfo}127.0.0.1:${run.port}${path}`
    : path.replace('PORT', run.port);
  const exchange = new Exchange(run, words);
  exchange.req = http.request(url, made);
  for (const word of words) {
    const [name, value] = halves(word);
    if (name === 'fields') exchange.req.maxHeadersCount = Number(value);
  }
  run.exchanges.push(exchange);
  run.current = exchange;
  listen(exchange);
}

function listen(exchange) {
  const { req, flags, closed } = exchange;
  for (const event of ['finish', 'continue', 'timeout', 'drain']) {
    req.on(event, () => exchange.note(event));
  }
  req.on('information', (info) => {
    const { statusCode, statusMessage, rawHeaders } = info;
    exchange.note(`information ${statusCode} ${statusMessage} ${JSON.stringify(rawHeaders)}`);
  });
  req.on('error', ({ code }) => exchange.note(`req error ${code}`));
  req.on('close', () => closed('req close'));
  if (flags.has('socket')) req.on('socket', () => exchange.note('socket'));
  if (!flags.has('ignored')) req.on('response', (res) => respond(exchange, res));
  if (flags.has('upgrade')) req.on('upgrade', (res, socket, head) => handOver('upgrade', exchange, res, socket, head));
  if (flags.has('connect')) req.on('connect', (res, socket, head) => handOver('connect', exchange, res, socket, head));
}

function respond(exchange, res) {
  const { flags, closed } = exchange;
  exchange.res = res;
  exchange.open += 1;
  if (!flags.has('unread')) {
    res.setEncoding('latin1').on('data', (text) => exchange.note(`data ${text}`));
  }
  if (flags.has('paused')) res.pause();
  for (const event of ['end', 'aborted']) res.on(event, () => exchange.note(event));
  if (flags.has('silence')) res.on('timeout', () => exchange.note('res timeout'));
  res.on('error', ({ code }) => exchange.note(`res error ${code}`));
  res.on('close', () => closed('res close'));
  exchange.note(`response ${res.statusCode}`);
}

function handOver(event, exchange, res, socket, head) {
  exchange.res = res;
  exchange.socket = socket;
  exchange.open += 1;
  socket.on('data', (bytes) => exchange.note(`data ${bytes.toString('latin1')}`));
  socket.on('end', () => exchange.note('end'));
  socket.on('error', ({ code }) => exchange.note(`socket error ${code}`));
  socket.on('close', () => exchange.closed('socket close'));
  exchange.note(`${event} ${res.statusCode} ${JSON.stringify(head.toString('latin1'))}`);
}

// `name=value`
function halves(word) {
  const at = word.indexOf('=');
  return at < 0 ? [word] : [word.slice(0, at), word.slice(at + 1)];
}

function pairs(words) {
  return words.map(halves);
}

function go(run) {
  for (;;) {
    const step = run.steps.shift();
    if (step === undefined) return void setImmediate(() => setImmediate(() => finished(run)));
    const [name, rest] = step.includes(' ') ? [step.slice(0, step.indexOf(' ')), step.slice(step.indexOf(' ') + 1)] : [step, ''];
    const words = rest === '' ? [] : rest.split('|');
    if (name === 'tick') return void setTimeout(() => go(run), 1);
    if (name === 'wait') {
      run.waiting = { exchange: run.current, word: words[0], count: Number(words[1] ?? 1) };
      if (words[0] === 'over') return void setImmediate(() => setImmediate(() => finished(run)));
      return proceed(run);
    }
    act(run, name, words);
  }
}

function act(run, name, words) {
  const { current } = run;
  if (!current && !anytime.has(name)) return;
  let told;
  try {
    told = views.has(name) && !current.res ? 'none' : acts[name](run, words);
  } catch (error) {
    told = error.code ?? String(error);
  }
  if (told !== undefined && told !== true) run.log.push({ at: current?.at ?? 0, line: `${name} ${told}` });
}

let run = null;

process.on('uncaughtException', (error) => {
  run.log.push({ at: 0, line: `uncaught ${error.code ?? error.stack}` });
});

// Whether a connection was kept is told by one more request.
function probe({ agent, port }) {
  return new Promise((resolve) => {
    const req = http.get({ host: '127.0.0.1', port, agent, path: '/probe' }, (res) => res.resume().on('end', resolve));
    req.on('error', resolve);
  });
}

async function carryOut(line) {
  run?.agents.forEach((agent) => agent.destroy());
  run = new Run(JSON.parse(line));
  // Far more than anything here takes: what hangs is told.
  const patience = setTimeout(() => {
    run.log.push({ at: 0, line: 'hangs' });
    run.tell();
  }, 20_000);
  go(run);
  await run.over;
  clearTimeout(patience);
  if (JSON.parse(line).probe) await probe(run);
  const log = run.log.map(({ at, line: text }) => (at ? `${at + 1} ${text}` : text));
  console.log(JSON.stringify(log));
}

console.log(`${process.versions.node} ${process.versions.llhttp}`);
let done = Promise.resolve();
readline.createInterface({ input: process.stdin })
  .on('line', (line) => { done = done.then(() => carryOut(line)); })
  .on('close', () => process.exit());
