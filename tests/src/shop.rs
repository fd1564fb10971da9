//! A tenant with a pipeline, served, and an administrator's key to it.

use crate::http::{Answer, Server};
use crate::samples::Sales;
use crate::{Database, tenant};
use hyper::Method;
use kvali_domain::access::Role;
use kvali_domain::pipeline::Policy;
use serde_json::Value;

pub struct Shop {
    pub database: Database,
    pub server: Server,
    pub sales: Sales,
    pub admin: String,
}

impl Shop {
    pub async fn open() -> Self {
        let database = Database::create().await;
        let server = Server::start(database.connect().await).await;
        let sales = Sales::set_up(&server.store, tenant(1), Policy::PERMISSIVE).await;
        let admin = server.key(tenant(1), Role::Admin).await;
        Self { database, server, sales, admin }
    }

    /// A command that is carried out.
    pub async fn tell(&self, path: &str, body: Value) -> Value {
        self.server.post(&self.admin, path, &[], &body).await.ok()
    }

    /// A record by its external id.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.put_by(&self.admin, path, body).await
    }

    pub async fn put_by(&self, key: &str, path: &str, body: &Value) -> Answer {
        let json = [("content-type", "application/json")];
        self.server.send(Method::PUT, &format!("/v1/external/{path}"), key, &json, body.to_string()).await
    }

    pub async fn close(self) {
        self.server.stop().await;
        self.database.drop().await;
    }
}
