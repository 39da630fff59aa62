//! A request to one operation, whose ids can be put in place of others.

use reqwest::Method;
use serde_json::Value;

use super::catalogue::Operation;
use crate::world::{Reply, Session, World};

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Payload {
    Empty,
    Json(Value),
    File { name: String, media_type: &'static str, bytes: Vec<u8> },
}

/// A request without token and key.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// The path behind `/api`.
    template: &'static str,
    ids: Vec<(&'static str, String)>,
    pub query: String,
    pub payload: Payload,
}

/// A place in a request where an id stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Position {
    /// A name in the path.
    Path(&'static str),
    /// A JSON pointer into the body.
    Body(String),
}

impl Position {
    /// What kind of object the id names: the name of the field that it stands in.
    pub fn names(&self) -> &str {
        match self {
            Self::Path(name) => name,
            Self::Body(pointer) => pointer.rsplit('/').next().unwrap(),
        }
    }
}

impl Call {
    /// A request whose path ids are told by `id`.
    pub fn new(operation: &Operation, payload: Payload, id: impl Fn(&str) -> String) -> Self {
        Self {
            method: operation.method.clone(),
            template: operation.template,
            ids: operation.path_ids.iter().map(|name| (*name, id(name))).collect(),
            query: String::new(),
            payload,
        }
    }

    /// The path behind `/api`, with the query.
    pub fn path(&self) -> String {
        let path = self.ids.iter().fold(self.template.to_owned(), |path, (name, id)| path.replace(&format!("{{{name}}}"), id));
        if self.query.is_empty() { path } else { format!("{path}?{}", self.query) }
    }

    /// The same request with another query.
    pub fn with_query(&self, query: &str) -> Self {
        Self { query: query.to_owned(), ..self.clone() }
    }

    /// The same request with another body.
    pub fn with_payload(&self, payload: Payload) -> Self {
        Self { payload, ..self.clone() }
    }

    /// Every place where an id stands. Texts that are UUIDs are ids: no other field is one.
    pub fn positions(&self) -> Vec<Position> {
        let mut positions: Vec<Position> = self.ids.iter().map(|(name, _)| Position::Path(name)).collect();
        if let Payload::Json(body) = &self.payload {
            collect(body, String::new(), &mut positions);
        }
        positions
    }

    /// The id at a place.
    pub fn id_at(&self, position: &Position) -> &str {
        match (position, &self.payload) {
            (Position::Path(name), _) => &self.ids.iter().find(|(other, _)| other == name).unwrap().1,
            (Position::Body(pointer), Payload::Json(body)) => body.pointer(pointer).unwrap().as_str().unwrap(),
            (Position::Body(_), Payload::Empty | Payload::File { .. }) => panic!("no JSON body"),
        }
    }

    /// The same request with another id at a place.
    pub fn with_id(&self, position: &Position, id: &str) -> Self {
        let mut changed = self.clone();
        match (position, &mut changed.payload) {
            (Position::Path(name), _) => changed.ids.iter_mut().filter(|(other, _)| other == name).for_each(|(_, old)| {
                id.clone_into(old);
            }),
            (Position::Body(pointer), Payload::Json(body)) => *body.pointer_mut(pointer).unwrap() = id.into(),
            (Position::Body(_), Payload::Empty | Payload::File { .. }) => panic!("no JSON body"),
        }
        changed
    }

    /// The request for a client to build on: no token, no key.
    pub fn request(&self, http: &reqwest::Client, url: &str) -> reqwest::RequestBuilder {
        let request = http.request(self.method.clone(), format!("{url}{}", self.path()));
        match &self.payload {
            Payload::Empty => request,
            Payload::Json(body) => request.json(body),
            Payload::File { name, media_type, bytes } => {
                let part = reqwest::multipart::Part::bytes(bytes.clone()).file_name(name.clone()).mime_str(media_type).unwrap();
                request.multipart(reqwest::multipart::Form::new().part("file", part))
            }
        }
    }

    /// Sends it with a token and a key.
    pub async fn send(&self, world: &World, session: &Session, key: Option<&str>) -> Reply {
        let mut request = self.request(&world.http, &world.handout.url).bearer_auth(&session.token);
        if let Some(key) = key {
            request = request.header("X-Idempotency-Key", key);
        }
        self.reply(request).await
    }

    /// Sends a request that was built on this one.
    pub async fn reply(&self, request: reqwest::RequestBuilder) -> Reply {
        Reply::of(&self.method, &self.path(), request.send().await.unwrap()).await
    }
}

fn collect(value: &Value, pointer: String, positions: &mut Vec<Position>) {
    match value {
        Value::String(text) if uuid::Uuid::parse_str(text).is_ok() => positions.push(Position::Body(pointer)),
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| collect(member, format!("{pointer}/{name}"), positions));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, format!("{pointer}/{index}"), positions));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
