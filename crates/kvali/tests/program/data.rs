//! Small files to import.

/// Two deals, five rows, two actors; eight events with the pipeline and the two users.
pub(crate) const HISTORY: &str = "\
deal,stage,actor,occurred_at
A,Lead,Nino,2024-01-01T09:00:00Z
B,Lead,Luca,2024-01-02T09:00:00Z
A,Offer,Nino,2024-01-03T09:00:00Z
B,Offer,Luca,2024-01-04T09:00:00Z
A,Contract,Luca,2024-01-05T09:00:00Z
";

/// Names what closes a deal, who owns it, what it is worth and why it was lost.
pub(crate) const HISTORY_MAP: &str = "\
source = \"crm\"
[columns]
owner = \"owner\"
value = \"amount\"
loss_reason = \"why\"
[stages]
order = [\"Lead\", \"Offer\"]
success = [\"Won\"]
failure = [\"Lost\"]
[loss.codes]
\"Too dear\" = \"price\"
[value]
currency = \"EUR\"
";

pub(crate) const DEALS_MAP: &str = "\
source = \"crm\"
[columns]
owner = \"owner\"
account = \"account\"
value = \"value\"
[stages]
order = [\"Lead\", \"Offer\"]
success = [\"Won\"]
failure = [\"Lost\"]
[entered]
Lead = \"created\"
Offer = \"offered\"
[closed]
column = \"closed\"
of_open_deals = \"expected_close\"
[value]
currency = \"EUR\"
";

pub(crate) const DEALS: &str = "\
deal,stage,owner,account,value,created,offered,closed
1,Won,Nino,Vake Clinic,1054,2024-01-01,2024-01-10,2024-02-01
2,Lost,Luca,,,2024-01-02,,2024-02-02
3,Offer,Nino,Vake Clinic,500,2024-01-03,2024-01-12,2024-12-31
4,Lead,Luca,,,,,
";

pub(crate) const COMPANIES: &str = "\
id,name,website,owner
7,Vake Clinic,vake.ge,Nino
8,Saburtalo Dental,https://www.saburtalo.ge/en,Luca
";

pub(crate) const CONTACTS: &str = "\
id,first_name,last_name,email,phone,company_id,job title,country
1,Ketevan,Tsereteli,keti@vake.ge,+995 555 12 34 56,7,Head physician,GE
2,Nino,,nino@example.ge,,,,
";

pub(crate) const LEADS: &str = "\
id,name,company,email,owner
1,Giorgi,Batumi Dental,giorgi@batumi.ge,Nino
2,,Kutaisi Dental,,
";

pub(crate) const TASKS: &str = "\
id,subject,due,owner,priority,status,about,about_2
1,Call back,2030-01-15,Nino,high,open,1,7
2,Send offer,2024-01-15,Luca,,done,2,
";
