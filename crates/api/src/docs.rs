//! `GET /docs`: the API's description as a page. Everything that it needs comes from this server.

use crate::error::Problem;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::sync::LazyLock;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// What the page asks for, of all that Swagger UI consists of.
const FILES: [(&str, &str); 2] = [
    ("swagger-ui.css", "text/css; charset=utf-8"),
    ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
];

static UNPACKED: LazyLock<HashMap<&'static str, Vec<u8>>> = LazyLock::new(|| {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED)).expect("it was packed by its makers");
    let mut unpacked = HashMap::new();
    for at in 0..archive.len() {
        let mut file = archive.by_index(at).expect("it can be read");
        let path = file.name().map(Cow::into_owned).unwrap_or_default();
        if let Some((name, _)) = FILES.iter().find(|(name, _)| path.rsplit('/').next() == Some(name)) {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).expect("it can be unpacked");
            unpacked.insert(*name, bytes);
        }
    }
    unpacked
});

pub(crate) async fn page() -> Html<&'static str> {
    Html(include_str!("openapi/page.html"))
}

pub(crate) async fn file(name: Result<Path<String>, PathRejection>) -> Result<Response, Problem> {
    let Path(name) = name?;
    let known = FILES.iter().find(|(known, _)| *known == name);
    let (name, media) = known.ok_or_else(|| Problem::not_found("file"))?;
    let bytes: &'static [u8] = UNPACKED.get(name).ok_or_else(|| Problem::not_found("file"))?;
    Ok(([(header::CONTENT_TYPE, *media), (header::CACHE_CONTROL, "max-age=86400")], bytes).into_response())
}
