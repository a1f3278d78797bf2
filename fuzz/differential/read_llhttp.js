// What Node's llhttp makes of byte streams: its strict mode, driven as lib/_http_server.js and
// lib/_http_client.js drive it, with no listener for upgrades.
//
// In: streams, each a length (four bytes, little-endian), who reads it (one byte: S for a server, G, H and C for a
// client that asked with GET, HEAD and CONNECT), its bytes. Out: one line of JSON for each, as src/view.rs.
'use strict';

const { HTTPParser, methods } = require('_http_common');
const fs = require('fs');

const { REQUEST, RESPONSE, kOnMessageBegin, kOnHeaders, kOnHeadersComplete, kOnBody, kOnMessageComplete, kLenientNone } = HTTPParser;
const MAX_HEADER_SIZE = 16 * 1024;

// Node's list has QUERY at another place than its parser.
const nameOf = (method) => methods[method] ?? 'QUERY';

function pairs(flat) {
  const fields = [];
  for (let at = 0; at < flat.length; at += 2) fields.push([flat[at], flat[at + 1]]);
  return fields;
}

// A parser and the view it writes; `skip` says for each final response whether it has no content.
function reader(type, asked) {
  const view = { messages: [], information: [], end: '', code: '', why: '' };
  const state = { view, current: null, flat: [], url: '', begun: false, over: false, keeps: true };
  const parser = new HTTPParser();
  parser.initialize(type, {}, MAX_HEADER_SIZE, kLenientNone);
  parser[kOnMessageBegin] = () => { state.begun = true; };
  parser[kOnHeaders] = (headers, url) => {
    state.flat.push(...headers);
    state.url += url;
  };
  parser[kOnHeadersComplete] = (major, minor, headers, method, url, status, reason, upgrade, keeps) => {
    const fields = pairs([...state.flat, ...(headers ?? [])]);
    const start = type === REQUEST ? `${nameOf(method)} ${state.url}${url ?? ''}` : String(status);
    state.flat = [];
    state.url = '';
    if (type === RESPONSE && status >= 100 && status < 200 && status !== 101) {
      view.information.push(status);
      state.current = null;
      return 1;
    }
    state.current = { start, minor, fields, content: '', trailers: [], done: false };
    state.keeps = keeps;
    if (major !== 1) state.current.major = major;
    view.messages.push(state.current);
    const tunnel = type === REQUEST
      ? nameOf(method) === 'CONNECT'
      : status === 101 || (asked === 'C' && status >= 200 && status < 300);
    if (tunnel) {
      view.end = 'tunnel';
      return 2;
    }
    return asked === 'H' ? 1 : 0;
  };
  parser[kOnBody] = (chunk) => { state.current.content += chunk.latin1Slice(); };
  parser[kOnMessageComplete] = () => {
    state.begun = false;
    if (!state.current) return;
    state.current.trailers = pairs(state.flat);
    state.flat = [];
    state.url = '';
    state.current.done = true;
    state.over = true;
  };
  return { parser, state, view };
}

function refuse(view, error, before) {
  view.at = before + (error.bytesParsed ?? 0);
  view.end = error.code === 'HPE_INVALID_EOF_STATE' ? 'cut' : 'refused';
  view.code = error.code;
  view.why = error.reason ?? '';
}

function finish({ parser, state, view }) {
  const result = parser.finish();
  if (result instanceof Error) return refuse(view, result, 0);
  if (state.begun) view.end = 'cut';
}

function asServer(bytes) {
  const reading = reader(REQUEST, 'S');
  const { parser, state, view } = reading;
  let [result, at] = [0, 0];
  // It stops behind a request that asks for another protocol, also where nobody grants it.
  while (at < bytes.length && !view.end && !(result instanceof Error)) {
    result = parser.execute(bytes.subarray(at));
    // Node keeps to itself what is wrong in such a request and behind it.
    if (result < bytes.length - at && !view.end && (state.begun || result === 0)) {
      view.end = state.begun || state.keeps ? 'refused' : 'closed';
      view.why = 'behind a request for another protocol';
      view.at = at + result;
    }
    if (!(result instanceof Error)) at += result;
    if (view.end === 'tunnel') state.current.content += bytes.latin1Slice(at);
  }
  if (result instanceof Error) {
    if (result.code === 'HPE_CLOSED_CONNECTION') view.end = 'closed';
    else refuse(view, result, at);
  } else if (view.end === 'tunnel') {
    state.current.done = true;
  } else if (!view.end) {
    finish(reading);
    if (!view.end) view.end = state.keeps ? 'kept' : 'closed';
  }
  parser.free();
  return view;
}

// One final response; byte by byte, to know where it ends.
function asClient(asked, bytes) {
  const reading = reader(RESPONSE, asked);
  const { parser, state, view } = reading;
  let at = 0;
  for (; at < bytes.length && !state.over && !view.end; at += 1) {
    const result = parser.execute(bytes.subarray(at, at + 1));
    if (result instanceof Error) refuse(view, result, at);
  }
  if (view.end === 'tunnel') {
    state.current.content = bytes.latin1Slice(at);
    state.current.done = true;
  } else if (!view.end) {
    if (!state.over) {
      finish(reading);
      if (!view.end) view.end = state.over ? 'closed' : 'cut';
    } else {
      view.end = state.keeps && at === bytes.length ? 'kept' : 'closed';
    }
  }
  parser.free();
  return view;
}

function main() {
  if (process.argv[2] === '--version') {
    console.log(`llhttp ${process.versions.llhttp} of Node ${process.versions.node}`);
    return;
  }
  const input = fs.readFileSync(0);
  const lines = [];
  for (let at = 0; at < input.length;) {
    const length = input.readUInt32LE(at);
    const role = String.fromCharCode(input[at + 4]);
    const bytes = input.subarray(at + 5, at + 5 + length);
    at += 5 + length;
    lines.push(JSON.stringify(role === 'S' ? asServer(bytes) : asClient(role, bytes)));
  }
  fs.writeSync(1, lines.join('\n') + '\n');
}

main();
