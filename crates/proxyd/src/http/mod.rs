//! HTTP as bytes: message heads, framing, the HTTP/1 codec, replies. Sans-IO.

pub mod cacheability;
pub mod cookie;
pub mod forwarded;
pub mod framing;
pub mod h1;
pub mod h2;
pub mod head;
pub mod headers;
pub mod reply;
pub mod uri;

pub use framing::Framing;
pub use head::{ConnectionTokens, Method, RequestHead, ResponseHead, Version};
pub use headers::{HeadFull, Header, HeaderList};
pub use uri::Uri;
