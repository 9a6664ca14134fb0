//! Crockford's base 32, lower case, without padding or check symbol.

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Text of `bytes`, most significant bits first.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    let (mut window, mut bits) = (0u32, 0);
    for &byte in bytes {
        window = (window << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(window >> bits) as usize & 31]));
        }
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(window << (5 - bits)) as usize & 31]));
    }
    text
}

/// Bytes of `text`; `None` unless it is exactly what [`encode`] makes of `N`
/// bytes, so that an id has one text only.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 8).div_ceil(5) {
        return None;
    }
    let mut bytes = [0; N];
    let (mut window, mut bits, mut at) = (0u32, 0, 0);
    for &c in text.as_bytes() {
        let value = ALPHABET.iter().position(|&a| a == c)? as u32;
        window = (window << 5) | value;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            *bytes.get_mut(at)? = (window >> bits) as u8;
            at += 1;
        }
    }
    let rest = window & ((1 << bits) - 1);
    (at == N && rest == 0).then_some(bytes)
}
