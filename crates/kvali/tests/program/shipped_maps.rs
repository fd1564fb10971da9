//! Every map that ships with Kvali, on a file of a few invented rows in the shape of its system's table.

use crate::support::{Kvali, rows};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A map's name, the kind of its file, and the file; its last row is passed over where the map has `[only]`.
type Shipped = (&'static str, &'static str, &'static str);

const HUBSPOT: &[Shipped] = &[
    ("hubspot_owners", "users", "owner_id,first_name,last_name\n7,Nino,Abashidze\n"),
    (
        "hubspot_companies",
        "companies",
        "id,property_name,property_country,property_createdate,is_deleted\n\
         1,Vake Clinic,Germany,2024-01-01,FALSE\n2,Dental,Nowhere,2024-01-02,false\n3,Gone,,2024-01-03,TRUE\n",
    ),
    (
        "hubspot_contacts",
        "contacts",
        "id,property_firstname,property_lastname,property_email,property_company,property_jobtitle,property_createdate,\
         _fivetran_deleted\n\
         1,Keti,Tsereteli,keti@vake.ge,1,Nurse,2024-01-01,FALSE\n2,Luca,,none,,,2024-01-02,false\n\
         3,Gone,,,,,2024-01-03,TRUE\n",
    ),
    (
        "hubspot_deal_stages",
        "history",
        "deal_id,value,date_entered\n1,appointmentscheduled,2024-01-01\n1,closedwon,2024-01-02\n",
    ),
    (
        "hubspot_deal_properties",
        "history",
        "deal_id,value,timestamp,name\n2,qualifiedtobuy,2024-01-01,dealstage\n2,closedlost,2024-01-02,dealstage\n\
         2,Better,2024-01-03,dealname\n",
    ),
    ("hubspot_pipeline", "history", "deal_id,value,date_entered\n3,s1,2024-01-01\n3,s2,2024-01-02\n"),
    (
        "hubspot_deals",
        "deals",
        "deal_id,deal_pipeline_stage_id,owner_id,property_createdate,property_closedate\n\
         4,closedwon,7,2024-01-01,2024-01-02\n5,contractsent,7,2024-01-01,2030-01-01\n",
    ),
    (
        "hubspot_deal_contacts",
        "deal-contacts",
        "contact_id,deal_id,type_id,category\n1,4,3,HUBSPOT\n1,5,3,HUBSPOT\n2,5,4,HUBSPOT\n",
    ),
    (
        "hubspot_tasks",
        "tasks",
        "engagement_id,property_hs_task_subject,property_hs_timestamp,property_hubspot_owner_id,property_hs_createdate,\
         _fivetran_deleted\n1,Call,2030-01-01,7,2024-01-01,FALSE\n2,Gone,2030-01-01,7,2024-01-01,TRUE\n",
    ),
    (
        "hubspot_company_properties",
        "companies",
        "company_id,timestamp,value,name\n1,2024-02-01,Health,industry\n1,2024-02-02,Clinics,industry\n\
         1,2024-02-03,Tbilisi,city\n",
    ),
];

const SALESFORCE: &[Shipped] = &[
    ("salesforce_users", "users", "id,name\nU1,Nino Abashidze\n"),
    (
        "salesforce_accounts",
        "companies",
        "id,name,website,billing_country_code,owner_id\nA1,Vake,vake.ge,GE,U1\n",
    ),
    (
        "salesforce_account_history",
        "companies",
        "id,name,website,owner_id,_fivetran_start\nA2,Dental,dental.ge,U1,2024-01-01\nA2,Dental Ltd,dental.ge,U1,2024-01-02\n",
    ),
    (
        "salesforce_contacts",
        "contacts",
        "id,first_name,last_name,name,email,phone,mobile_phone,mailing_country_code,mailing_street,account_id,title,owner_id,\
         created_date\nC1,Keti,,,keti@vake.ge,,(555) 010,GE,Vake 1,A1,Nurse,U1,2024-01-01\n",
    ),
    (
        "salesforce_leads",
        "leads",
        "id,first_name,last_name,email,phone,mobile_phone,company,description,owner_id,created_date,status\n\
         L1,Luca,,luca@example.ge,,,Dental,Wants a call,U1,2024-01-01,Open - Not Contacted\n\
         L2,Gone,,,,,,,U1,2024-01-01,Closed - Converted\n",
    ),
    (
        "salesforce_opportunity_history",
        "history",
        "id,stage_name,_fivetran_start,owner_id,account_id,amount\n\
         D1,Prospecting,2024-01-01,U1,A1,100\nD1,Closed Won,2024-01-02,U1,A1,120\n",
    ),
    (
        "salesforce_opportunities",
        "deals",
        "id,stage_name,owner_id,account_id,amount,created_date,close_date\n\
         D2,Closed Lost,U1,A1,100,2024-01-01 10:00:00,2024-01-05 00:00:00\n",
    ),
    (
        "salesforce_tasks",
        "tasks",
        "id,subject,activity_date,owner_id,priority,status,what_id,who_id,created_date,is_deleted\n\
         T1,Call,2030-01-01,U1,High,In Progress,A1,C1,2024-01-01,false\n\
         T2,Gone,2030-01-01,U1,High,Completed,,,2024-01-01,TRUE\n",
    ),
];

const MAVEN: &[Shipped] = &[(
    "maven_crm_sales",
    "deals",
    "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value\n\
     1,Nino,GTX,Vake,Won,2016-10-20,2017-03-01,1054\n2,Nino,GTX,,Prospecting,,,\n",
)];

fn maps() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/maps")).to_owned()
}

#[track_caller]
fn come_in(kvali: &Kvali, shipped: &[Shipped]) {
    for (name, kind, text) in shipped {
        let map = maps().join(format!("{name}.toml"));
        let only = std::fs::read_to_string(&map).unwrap().contains("\n[only]");
        let expected = text.lines().count() as u64 - 1 - u64::from(only);
        let file = kvali.file(&format!("{name}.csv"), text);
        let mut more = vec!["--map", map.to_str().unwrap()];
        if matches!(*kind, "deals" | "history") {
            more.extend(["--pipeline", name]);
        }
        let report = kvali.import_records(0, kind, &file, &more);
        assert_eq!(rows(&report), [expected, 0, 0, 0], "{name}: {report}");
        assert_eq!(report["passed_over"], u64::from(only), "{name}");
        assert_eq!(rows(&kvali.import_records(0, kind, &file, &more)), [0, expected, 0, 0], "{name} again");
    }
}

#[test]
fn hubspot_tables_come_in() {
    let kvali = Kvali::new("shipped-hubspot");
    let field = "{\"field\": \"0190d9c6-0000-7000-8000-000000000001\", \"entity\": \"company\", \
                 \"key\": \"industry\", \"label\": \"Industry\", \"type\": \"text\"}";
    kvali.json(0, &["do", "DefineField", "--json", field]);
    kvali.file(
        "deal_pipeline_stage_data.csv",
        "stage_id,label,display_order,is_closed,closed_won,pipeline_id\n\
         s1,First,0,false,false,default\ns2,Done,1,true,true,default\nx,Other,0,false,false,other\n",
    );
    come_in(&kvali, HUBSPOT);
    assert_eq!(kvali.story("3"), ["opened in First", "won from First"]);
}

#[test]
fn salesforce_tables_come_in() {
    let kvali = Kvali::new("shipped-salesforce");
    come_in(&kvali, SALESFORCE);
    let users = kvali.log_types().iter().filter(|name| *name == "user.registered").count();
    assert_eq!(users, 1, "all tables name one owner");
}

#[test]
fn the_maven_table_comes_in_and_every_map_has_its_rows_here() {
    come_in(&Kvali::new("shipped-maven"), MAVEN);
    let here: BTreeSet<_> =
        [HUBSPOT, SALESFORCE, MAVEN].concat().iter().map(|(name, ..)| format!("{name}.toml")).collect();
    let files =
        std::fs::read_dir(maps()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        files
            .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "toml"))
            .collect::<BTreeSet<_>>(),
        here
    );
}

#[test]
fn a_file_whose_rows_are_all_passed_over_says_so() {
    let kvali = Kvali::new("shipped-only");
    let file = kvali.file(
        "companies.csv",
        "id,property_name,property_country,property_createdate,is_deleted\n1,Vake,,2024-01-01,no\n",
    );
    let map = maps().join("hubspot_companies.toml");
    let args = ["import", "companies", file.to_str().unwrap(), "--map", map.to_str().unwrap()];
    let told = kvali.run(&args).stdout();
    assert!(told.contains("[only] of the map passed over all 1 rows"), "{told}");
}
