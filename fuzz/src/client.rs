pub fn check(_r: usize, _o: usize, _b: &[u8], _p: usize, _s: usize) {}
