//! The lexical rules that everything else here shares: tokens, field values, list elements.
pub(crate) fn is_token(_bytes: &[u8]) -> bool {
    unimplemented!()
}
pub(crate) fn is_field_value(_bytes: &[u8]) -> bool {
    unimplemented!()
}
pub(crate) fn names_equal(_a: &[u8], _b: &[u8]) -> bool {
    unimplemented!()
}
pub(crate) fn has_list_token(_value: &[u8], _token: &str) -> bool {
    unimplemented!()
}
