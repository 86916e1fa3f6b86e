//! `capture` and `declare capture`.

use super::{listed, old};
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;

pub const KEYWORDS: &[Keyword] = &[
    old("capture cookie", Places::FRONT_ONLY, "<name> len <length>", "Logs a cookie.", cookie),
    old(
        "capture request header",
        Places::FRONT_ONLY,
        "<name> len <length>",
        "Logs a request header.",
        request,
    ),
    old(
        "capture response header",
        Places::FRONT_ONLY,
        "<name> len <length>",
        "Logs a response header.",
        response,
    ),
    listed(
        "declare",
        Places::FRONT_ONLY,
        "capture [ request | response ] len <length>",
        "Makes room for a capture.",
        declare,
    ),
];

fn length(line: &mut Line<'_>) -> Result<usize, hacore::diag::Diagnostic> {
    if !line.words.take_if("len") {
        return Err(line.alert(format!("'{}' expects <name> 'len' <length>.", line.name)));
    }
    let value = line.integer(1..=65535)?;
    line.end()?;
    Ok(value as usize)
}

fn cookie(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("<name> 'len' <length>.")?.as_str().to_owned();
    let mut length = length(line)?;
    let longest = loader.global.http_cookie_length;
    if length > longest {
        let name = loader.section_name.clone();
        let message = format!("truncating capture length to {longest} bytes for frontend '{name}'.");
        loader.push(line.warning(message).positioned(hacore::diag::PositionForm::Omitted));
        length = longest;
    }
    loader.proxy()?.cookie_capture = Some((name, length));
    Ok(())
}

fn request(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("<name> 'len' <length>.")?.as_str().to_owned();
    let length = length(line)?;
    loader.proxy()?.request_captures.push((name, length));
    Ok(())
}

fn response(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("<name> 'len' <length>.")?.as_str().to_owned();
    let length = length(line)?;
    loader.proxy()?.response_captures.push((name, length));
    Ok(())
}

fn declare(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if !line.words.take_if("capture") {
        return Err(line.alert("'declare' only supports 'capture'."));
    }
    let side = line.required("'request' or 'response' after 'capture'.")?;
    let request = match side.as_str() {
        "request" => true,
        "response" => false,
        _ => {
            return Err(
                line.alert_at(side, "'declare capture' requires a direction: 'request' or 'response'.")
            );
        }
    };
    let length = length(line)?;
    let proxy = loader.proxy()?;
    let captures = if request { &mut proxy.request_captures } else { &mut proxy.response_captures };
    captures.push((String::new(), length));
    Ok(())
}
