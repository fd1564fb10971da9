-- Where each read model stands. A generation is one build of it, in a Postgres schema of its own.

create table kvali.projection_generation (
  projection  text        not null,
  version     int         not null,
  generation  int         not null,
  schema_name text        not null constraint projection_generation_schema unique,
  created_at  timestamptz not null default clock_timestamp(),
  constraint projection_generation_id primary key (projection, version, generation)
);

-- The generation that answers, per version: binaries of two versions may run side by side.
create table kvali.projection_live (
  projection text not null,
  version    int  not null,
  generation int  not null,
  constraint projection_live_id primary key (projection, version),
  constraint projection_live_generation foreign key (projection, version, generation)
    references kvali.projection_generation
);

create table kvali.projection_checkpoint (
  tenant_id  uuid        not null,
  projection text        not null,
  version    int         not null,
  generation int         not null,
  position   bigint      not null,
  updated_at timestamptz not null default clock_timestamp(),
  constraint projection_checkpoint_id primary key (tenant_id, projection, version, generation)
);
