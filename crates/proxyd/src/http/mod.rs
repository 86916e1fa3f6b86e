//! HTTP as bytes: message heads, framing, the HTTP/1 codec. Sans-IO.
