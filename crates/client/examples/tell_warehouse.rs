//! Tells the warehouse of every deal that is won, once it answers; any number of these share the work.
//!
//! `KVALI_URL=… KVALI_KEY=… WAREHOUSE_URL=… cargo run -p kvali-client --example tell_warehouse`

use kvali_client::{Client, Event};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let said = |name: &str| std::env::var(name).map_err(|_| format!("set {name}"));
    let kvali = Client::new(&said("KVALI_URL")?, &said("KVALI_KEY")?)?;
    let warehouse = Warehouse { url: said("WAREHOUSE_URL")?, http: kvali_client::http()? };
    let won = kvali.subscription("warehouse");
    won.create(Some(&["deal.won"]), "now").await?;
    // Whatever fails is tried again after a pause; after ten tries it is parked, and `kvali subscriptions parked
    // warehouse` tells why.
    won.run(|event| warehouse.tell(event)).await?;
    Ok(())
}

struct Warehouse {
    url: String,
    http: reqwest::Client,
}

impl Warehouse {
    /// The event's id makes a second telling of the same deal harmless.
    async fn tell(&self, event: Event) -> Result<(), reqwest::Error> {
        let order = json!({ "order": event.id, "deal": event.stream, "won_at": event.occurred_at });
        self.http.put(format!("{}/{}", self.url, event.id)).json(&order).send().await?.error_for_status()?;
        Ok(())
    }
}
