//! How a handler is tested against everything that a network may do: `simulate [SEEDS]`, by default 100.
//!
//! The handler gives its clients a page that it has from another server: asked for with a time limit, and kept for a
//! while. There are two versions of it, which behave alike as long as nothing breaks. The first one keeps whatever has come
//! when the other server's connection ends, so that one broken connection is a broken page for everybody, for
//! as long as it is kept. Nobody finds that by trying it out. Here it takes a few seeds, and each of them finds it
//! again:
//!
//! ```text
//! cargo run --example simulate --features sim
//! ```

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, IncomingResponse, Response};
use onloop::sim::{self, SimNet, SimOptions, SimPeer};
use onloop::{Address, EventLoop, LoopHandle, LoopOptions, Result, Timer};

/// How long the other server may take, and how long its page is good for.
const PATIENCE: Duration = Duration::from_secs(1);
const KEPT: Duration = Duration::from_secs(10);

const PAGE_BYTES_MAX: usize = 100_000;

/// The two versions.
#[derive(Debug, Clone, Copy)]
enum Keeps {
    WhatHasCome,
    WhatIsWhole,
}

// ---- what is tested, as it runs in production

struct Shop {
    lp: LoopHandle,
    keeps: Keeps,
    page: RefCell<Option<Vec<u8>>>,
}

impl Shop {
    fn answer(self: &Rc<Self>, res: Response) -> Result<()> {
        if let Some(page) = self.page.borrow().as_deref() {
            res.end(page);
            return Ok(());
        }
        let up = http::request(self.lp, "GET", "http://prices.test/")?;
        let timer: Timer = self.lp.set_timeout(PATIENCE, move || up.destroy());
        let shop = Rc::clone(self);
        up.on_response(move |response| match shop.keeps {
            Keeps::WhatHasCome => shop.keep_what_has_come(&response, res),
            Keeps::WhatIsWhole => shop.keep_what_is_whole(&response, res),
        });
        up.on_error(move |_| refuse(res));
        up.on_close(move || timer.clear());
        up.end("");
        Ok(())
    }

    fn keep_what_has_come(self: &Rc<Self>, response: &IncomingResponse, res: Response) {
        let page = Rc::new(RefCell::new(Vec::new()));
        let (part, shop) = (Rc::clone(&page), Rc::clone(self));
        response.on_data(move |chunk| part.borrow_mut().extend_from_slice(chunk));
        // The mistake: a response closes whether or not it came to its end.
        response.on_close(move || shop.keep(page.take(), res));
    }

    fn keep_what_is_whole(self: &Rc<Self>, response: &IncomingResponse, res: Response) {
        let shop = Rc::clone(self);
        // A request that is cut off on its way is answered 400, with a content that is whole.
        let is_a_page = response.status() == 200;
        response.collect(PAGE_BYTES_MAX, move |page| match page {
            Ok(page) if is_a_page => shop.keep(page, res),
            _ => refuse(res),
        });
    }

    fn keep(self: &Rc<Self>, page: Vec<u8>, res: Response) {
        res.end(&*page);
        *self.page.borrow_mut() = Some(page);
        let shop = Rc::clone(self);
        self.lp.set_timeout(KEPT, move || _ = shop.page.take()).unref();
    }
}

fn refuse(res: Response) {
    if !res.headers_sent() {
        res.set_status(502);
        res.end("no prices today");
    }
}

// ---- the test: one seed is one run of everything

/// A page that is long enough to be cut in two.
fn page() -> Vec<u8> {
    (0..300).flat_map(|line| format!("item {line}: {}\n", line * 7).into_bytes()).collect()
}

/// A client of the shop, which may never get an answer: the network is not its friend either.
struct Client {
    peer: SimPeer,
    received: Vec<u8>,
}

impl Client {
    fn ask(net: &SimNet) -> Client {
        let peer = net.connect(&Address::from(SocketAddr::from(([10, 0, 0, 1], 80))));
        peer.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n");
        Client { peer, received: Vec::new() }
    }

    /// Looks at what has come. A page that is told to be whole has to be.
    fn look(&mut self) -> std::result::Result<(), String> {
        if self.peer.available() == 0 {
            return Ok(());
        }
        self.received.extend(self.peer.read());
        let text = String::from_utf8_lossy(&self.received);
        let Some((head, content)) = text.split_once("\r\n\r\n") else {
            return Ok(());
        };
        let length = head.split("Content-Length: ").nth(1).and_then(|rest| rest.lines().next());
        let is_all_here = length.and_then(|length| length.parse().ok()) == Some(content.len());
        if !head.starts_with("HTTP/1.1 200") || !is_all_here {
            return Ok(());
        }
        let (page, got) = (page(), content.len());
        if content.as_bytes() != page {
            let whole = page.len();
            return Err(format!("a client was given {got} of {whole} bytes as the whole page"));
        }
        Ok(())
    }
}

/// Everything of one seed: the network and what goes wrong on it, both servers, some clients.
fn run(seed: u64, keeps: Keeps) -> std::result::Result<(), String> {
    let net = SimNet::with_options(seed, SimOptions::hostile());
    net.add_host("prices.test", vec![[10, 0, 0, 2].into()]);
    let failed = |error: onloop::Error| error.to_string();

    let mut prices = net.event_loop(LoopOptions::new());
    let lp = prices.handle();
    let server = http::create_server(lp, move |_req, res| {
        res.write(&page()[..1000]);
        lp.set_timeout(Duration::from_millis(5), move || res.end(&page()[1000..]));
    });
    server.listen("10.0.0.2:80").map_err(failed)?;

    let mut event_loop = net.event_loop(LoopOptions::new());
    let lp = event_loop.handle();
    let shop = Rc::new(Shop { lp, keeps, page: RefCell::default() });
    let shop_server = http::create_server(lp, move |_req, res| shop.answer(res));
    shop_server.listen("10.0.0.1:80").map_err(failed)?;

    let mut clients: Vec<Client> = Vec::new();
    let mut turn = |clients: &mut Vec<Client>, wait: Duration| {
        for event_loop in [&mut prices, &mut event_loop] {
            event_loop.turn(Some(wait)).map_err(failed)?;
            sim::check(event_loop)?;
        }
        clients.iter_mut().try_for_each(Client::look)
    };
    for number in 0..300 {
        if number % 20 == 0 {
            clients.push(Client::ask(&net));
        }
        turn(&mut clients, Duration::from_millis(20))?;
    }
    // And in the end nothing is left of it.
    shop_server.close();
    server.close();
    clients.clear();
    let patience = net.now() + Duration::from_secs(600);
    while net.open_sockets() > 0 {
        turn(&mut clients, Duration::from_secs(1))?;
        if net.now() > patience {
            return Err("it does not end".into());
        }
    }
    is_empty(&event_loop)
}

fn is_empty(event_loop: &EventLoop) -> std::result::Result<(), String> {
    let left = sim::stats(event_loop);
    if left.is_empty() { Ok(()) } else { Err(format!("left behind: {left:?}")) }
}

fn main() {
    let seeds = std::env::args().nth(1).map_or(Ok(100), |seeds| seeds.parse());
    let Ok(seeds) = seeds else {
        eprintln!("usage: simulate [SEEDS]");
        std::process::exit(2);
    };
    // It is known to be wrong: how soon is that found?
    let found =
        (0..seeds).find_map(|seed| run(seed, Keeps::WhatHasCome).err().map(|why| (seed, why)));
    match found {
        Some((seed, why)) => {
            println!("the handler that keeps what has come fails at seed {seed}:");
            println!("  {why}");
            let again = run(seed, Keeps::WhatHasCome);
            println!("  and again: {}", again.err().unwrap_or_else(|| "it does not".into()));
        }
        None => println!("{seeds} seeds are too few to find the mistake"),
    }
    // As a test has it: a seed that fails prints the line that runs it again.
    let command = "cargo run --example simulate --features sim";
    let held = sim::for_each_seed(seeds, command, |seed| {
        run(seed, Keeps::WhatIsWhole).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    });
    println!("the handler that keeps what is whole holds for {held} seeds");
}
