BEGIN TRANSACTION;
CREATE TABLE application_versions (
    version_id TEXT NOT NULL PRIMARY KEY,
    version_name TEXT NOT NULL UNIQUE,
    version_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL);
INSERT INTO "application_versions" VALUES('a74de1a0-3056-4168-932e-801ccd5e33e6','1',1795947437000,1795947437000,'testlab-deliveries');
CREATE TABLE dbos_migrations (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO "dbos_migrations" VALUES(125);
CREATE TABLE delivery_calls (
	digest TEXT NOT NULL, 
	delivery_id TEXT NOT NULL, 
	given_at DOUBLE NOT NULL, 
	answered_at DOUBLE, 
	took_s DOUBLE, 
	PRIMARY KEY (digest)
);
INSERT INTO "delivery_calls" VALUES('9e77fee1a97b6ddc03694e0865cdf9fad318ffc4bf16bb796dab0e3589e733e9','11a550ad-01e2-4274-b202-b058f29619f2',1.79594743407208204269e+09,1.79594743898219490058e+09,4.9826384510001844319e+00);
INSERT INTO "delivery_calls" VALUES('d64b84233b84e7b874e7bd148af163a39aa3f4ac0315af3c59aaa344ee20869c','9bb527fc-0d91-4c98-b635-7a330014b673',1.79594743899783802027e+09,1.79594743912264800068e+09,1.28256023000176355708e-01);
INSERT INTO "delivery_calls" VALUES('41feb7e1dbd89a72a1f3e9e773057fad03d657ed6df02b4d10556d38da8353a8','a6099fa2-6e82-4105-abd6-cc5e4ede063e',1.79594744817978405949e+09,1.79594745319477105136e+09,5.03290152599993234616e+00);
CREATE TABLE delivery_files (
	delivery_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (delivery_id, number)
);
INSERT INTO "delivery_files" VALUES('9bb527fc-0d91-4c98-b635-7a330014b673',0,X'77686174207468652073746174696F6E20736169640A');
INSERT INTO "delivery_files" VALUES('17cef01f-786c-5f83-b6fb-6ec74b26e831',0,X'0200000A02044C00010A00FEFF6A00FEFF6A01202020FFFF20064C4F542D3432075043422D313030064943542D30310464656D6F0346435400000000000546494E414C000000000000000000000000000000000000000200050A01012E000F0A6400000001010000EC51A040077261696C5F35760002000000000098400000A840015600000000000000000000001C00051401010001000100010000800080B004000007534E2D303030310001000200050A01012E000F0A640000000101010085EBA940077261696C5F35760002000000000098400000A840015600000000000000000000001C00051401010801000200020000800080B004000007534E2D30303032000100070001143CFEFF6A200000');
INSERT INTO "delivery_files" VALUES('a6099fa2-6e82-4105-abd6-cc5e4ede063e',0,X'77686174207468652073746174696F6E20736169640A');
CREATE TABLE notifications (
    message_uuid TEXT NOT NULL DEFAULT (hex(randomblob(16))) PRIMARY KEY,
    destination_uuid TEXT NOT NULL,
    topic TEXT,
    message TEXT NOT NULL,
    created_at_epoch_ms INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000), "serialization" TEXT DEFAULT NULL, "consumed" BOOLEAN NOT NULL DEFAULT FALSE, consumed_by_function_id INTEGER,
    FOREIGN KEY (destination_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE "operation_outputs" (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    function_name TEXT NOT NULL DEFAULT '',
    output TEXT,
    error TEXT,
    child_workflow_id TEXT,
    started_at_epoch_ms INTEGER,
    completed_at_epoch_ms INTEGER,
    serialization TEXT,
    application_name TEXT DEFAULT NULL,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    PRIMARY KEY (workflow_uuid, function_id)
);
INSERT INTO "operation_outputs" VALUES('11a550ad-01e2-4274-b202-b058f29619f2.0',1,'send','{"state":"delivered","attempts":1,"unsure":false,"failure":null,"next_try_at":null,"created":{"run_id":"factory:731b5484-c41a-435e-8515-726603faac73","procedure":"Main board FCT","queued":"","note":"","next":""},"sent":[0],"doubtful":[],"run_ids":[]}',NULL,NULL,1795947437584,1795947438839,'portable_json','testlab-deliveries',1795947438000);
INSERT INTO "operation_outputs" VALUES('9bb527fc-0d91-4c98-b635-7a330014b673.0',1,'send',NULL,'{"name":"Parked","message":"factory does not accept the run (HTTP 422). Check serial_number, part_number and the phases'' times.","code":null}',NULL,1795947439083,1795947439107,'portable_json','testlab-deliveries',1795947439000);
INSERT INTO "operation_outputs" VALUES('17cef01f-786c-5f83-b6fb-6ec74b26e831.0',1,'send',NULL,'{"name":"Parked","message":"factory does not accept the report (HTTP 422). Check the arguments'' values.","code":null}',NULL,1795947439298,1795947439316,'portable_json','testlab-deliveries',1795947439000);
CREATE TABLE queues (
    queue_id TEXT PRIMARY KEY DEFAULT (hex(randomblob(16))),
    name TEXT NOT NULL UNIQUE,
    concurrency INTEGER,
    worker_concurrency INTEGER,
    rate_limit_max INTEGER,
    rate_limit_period_sec REAL,
    priority_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    partition_queue BOOLEAN NOT NULL DEFAULT FALSE,
    polling_interval_sec REAL NOT NULL DEFAULT 1.0,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL, "partition_concurrency" INTEGER DEFAULT NULL, "partition_worker_concurrency" INTEGER DEFAULT NULL, "partition_rate_limit_max" INTEGER DEFAULT NULL, "partition_rate_limit_period_sec" REAL DEFAULT NULL);
INSERT INTO "queues" VALUES('A2CFCB8B74F5369AA8FDB2AEE1DAB6DE','deliver',NULL,NULL,NULL,NULL,1,0,0.2,1795947437000,1795947450257,'testlab-deliveries',NULL,NULL,NULL,NULL);
CREATE TABLE streams (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    "offset" INTEGER NOT NULL, function_id INTEGER NOT NULL DEFAULT 0, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key, "offset"),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
INSERT INTO "workflow_events" VALUES('11a550ad-01e2-4274-b202-b058f29619f2.0','progress','{"state":"sending","attempts":1,"unsure":false,"failure":null,"next_try_at":null,"created":{"run_id":"factory:731b5484-c41a-435e-8515-726603faac73","procedure":"Main board FCT","queued":"","note":"","next":""},"sent":[],"doubtful":[0],"run_ids":[]}','portable_json');
INSERT INTO "workflow_events" VALUES('9bb527fc-0d91-4c98-b635-7a330014b673.0','progress','{"state":"parked","attempts":1,"unsure":false,"failure":{"kind":"BadInput","what":"factory does not accept the run (HTTP 422)","why":"","next_step":"Check serial_number, part_number and the phases'' times."},"next_try_at":null,"created":null,"sent":[],"doubtful":[],"run_ids":[]}','portable_json');
INSERT INTO "workflow_events" VALUES('17cef01f-786c-5f83-b6fb-6ec74b26e831.0','progress','{"state":"parked","attempts":1,"unsure":false,"failure":{"kind":"BadInput","what":"factory does not accept the report (HTTP 422)","why":"","next_step":"Check the arguments'' values."},"next_try_at":null,"created":null,"sent":[],"doubtful":[],"run_ids":[]}','portable_json');
INSERT INTO "workflow_events" VALUES('a6099fa2-6e82-4105-abd6-cc5e4ede063e.0','progress','{"state":"queued","attempts":1,"unsure":true,"failure":{"kind":"ServiceDown","what":"Service factory is not available (HTTP 503)","why":"","next_step":"Call again later; `testlab-mcp doctor` shows its state."},"next_try_at":"2026-11-29T10:17:33.735137Z","created":null,"sent":[],"doubtful":[],"run_ids":[]}','portable_json');
CREATE TABLE workflow_events_history (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, function_id, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid)
        ON UPDATE CASCADE ON DELETE CASCADE
);
INSERT INTO "workflow_events_history" VALUES('11a550ad-01e2-4274-b202-b058f29619f2.0',1,'progress','{"state":"sending","attempts":1,"unsure":false,"failure":null,"next_try_at":null,"created":{"run_id":"factory:731b5484-c41a-435e-8515-726603faac73","procedure":"Main board FCT","queued":"","note":"","next":""},"sent":[],"doubtful":[0],"run_ids":[]}','portable_json');
INSERT INTO "workflow_events_history" VALUES('9bb527fc-0d91-4c98-b635-7a330014b673.0',1,'progress','{"state":"parked","attempts":1,"unsure":false,"failure":{"kind":"BadInput","what":"factory does not accept the run (HTTP 422)","why":"","next_step":"Check serial_number, part_number and the phases'' times."},"next_try_at":null,"created":null,"sent":[],"doubtful":[],"run_ids":[]}','portable_json');
INSERT INTO "workflow_events_history" VALUES('17cef01f-786c-5f83-b6fb-6ec74b26e831.0',1,'progress','{"state":"parked","attempts":1,"unsure":false,"failure":{"kind":"BadInput","what":"factory does not accept the report (HTTP 422)","why":"","next_step":"Check the arguments'' values."},"next_try_at":null,"created":null,"sent":[],"doubtful":[],"run_ids":[]}','portable_json');
INSERT INTO "workflow_events_history" VALUES('a6099fa2-6e82-4105-abd6-cc5e4ede063e.0',1,'progress','{"state":"queued","attempts":1,"unsure":true,"failure":{"kind":"ServiceDown","what":"Service factory is not available (HTTP 503)","why":"","next_step":"Call again later; `testlab-mcp doctor` shows its state."},"next_try_at":"2026-11-29T10:17:33.735137Z","created":null,"sent":[],"doubtful":[],"run_ids":[]}','portable_json');
CREATE TABLE workflow_input (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    inputs TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_input" VALUES('11a550ad-01e2-4274-b202-b058f29619f2.0','{"namedArgs":{},"positionalArgs":["factory",{},{"kind":"run","run":{"procedure_id":"6f1d3c1e-52a4-4c3b-9f0e-0b1a7c5d1001","serial_number":"SN-DELIVERED","outcome":"pass","started_at":"2001-01-01T00:00:00Z","ended_at":"2001-01-01T00:01:00Z","ref":"11a550ad-01e2-4274-b202-b058f29619f2","procedure_name":"","part_number":"P","part_name":"","revision":"","batch_number":"","procedure_version":"","notes":"","phases":[],"sub_units":[],"variables":[]},"files":[{"name":"log.txt","size":22}],"unkept":0,"earlier":null,"sent":[],"doubtful":[]}]}',1795947437000);
INSERT INTO "workflow_input" VALUES('9bb527fc-0d91-4c98-b635-7a330014b673.0','{"namedArgs":{},"positionalArgs":["factory",{},{"kind":"run","run":{"procedure_id":"6f1d3c1e-52a4-4c3b-9f0e-0b1a7c5d1001","serial_number":"SN-PARKED","outcome":"pass","started_at":"2001-01-01T00:00:00Z","ended_at":"2001-01-01T00:01:00Z","ref":"9bb527fc-0d91-4c98-b635-7a330014b673","procedure_name":"","part_number":"P","part_name":"","revision":"","batch_number":"","procedure_version":"","notes":"","phases":[],"sub_units":[],"variables":[]},"files":[{"name":"log.txt","size":22}],"unkept":0,"earlier":null,"sent":[],"doubtful":[]}]}',1795947439000);
INSERT INTO "workflow_input" VALUES('17cef01f-786c-5f83-b6fb-6ec74b26e831.0','{"namedArgs":{},"positionalArgs":["factory",{},{"kind":"report","importer":"STDF","name":"two_parts.stdf","size":273,"serial_number":"","started_at":null,"earlier":[],"checked":false}]}',1795947439000);
INSERT INTO "workflow_input" VALUES('a6099fa2-6e82-4105-abd6-cc5e4ede063e.0','{"namedArgs":{},"positionalArgs":["factory",{},{"kind":"run","run":{"procedure_id":"6f1d3c1e-52a4-4c3b-9f0e-0b1a7c5d1001","serial_number":"SN-WAITING","outcome":"pass","started_at":"2001-01-01T00:00:00Z","ended_at":"2001-01-01T00:01:00Z","ref":"a6099fa2-6e82-4105-abd6-cc5e4ede063e","procedure_name":"","part_number":"P","part_name":"","revision":"","batch_number":"","procedure_version":"","notes":"","phases":[],"sub_units":[],"variables":[]},"files":[{"name":"log.txt","size":22}],"unkept":0,"earlier":null,"sent":[],"doubtful":[]}]}',1795947450000);
CREATE TABLE workflow_output (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    output TEXT,
    error TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_output" VALUES('11a550ad-01e2-4274-b202-b058f29619f2.0','{"state":"delivered","attempts":1,"unsure":false,"failure":null,"next_try_at":null,"created":{"run_id":"factory:731b5484-c41a-435e-8515-726603faac73","procedure":"Main board FCT","queued":"","note":"","next":""},"sent":[0],"doubtful":[],"run_ids":[]}',NULL,1795947438000);
INSERT INTO "workflow_output" VALUES('9bb527fc-0d91-4c98-b635-7a330014b673.0',NULL,'{"name":"Parked","message":"factory does not accept the run (HTTP 422). Check serial_number, part_number and the phases'' times.","code":null}',1795947439000);
INSERT INTO "workflow_output" VALUES('17cef01f-786c-5f83-b6fb-6ec74b26e831.0',NULL,'{"name":"Parked","message":"factory does not accept the report (HTTP 422). Check the arguments'' values.","code":null}',1795947439000);
CREATE TABLE workflow_schedules (
    schedule_id TEXT PRIMARY KEY,
    schedule_name TEXT NOT NULL UNIQUE,
    workflow_name TEXT NOT NULL,
    workflow_class_name TEXT,
    schedule TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE',
    context TEXT NOT NULL
, "last_fired_at" TEXT DEFAULT NULL, "automatic_backfill" BOOLEAN NOT NULL DEFAULT FALSE, "cron_timezone" TEXT DEFAULT NULL, "queue_name" TEXT DEFAULT NULL, "application_name" TEXT DEFAULT NULL);
CREATE TABLE workflow_status (
    workflow_uuid TEXT PRIMARY KEY,
    status TEXT,
    name TEXT,
    authenticated_user TEXT,
    assumed_role TEXT,
    authenticated_roles TEXT,
    request TEXT,
    output TEXT,
    error TEXT,
    executor_id TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    application_version TEXT,
    application_id TEXT,
    class_name TEXT DEFAULT NULL,
    config_name TEXT DEFAULT NULL,
    recovery_attempts INTEGER DEFAULT 0,
    queue_name TEXT,
    workflow_timeout_ms INTEGER,
    workflow_deadline_epoch_ms INTEGER,
    inputs TEXT,
    started_at_epoch_ms INTEGER,
    deduplication_id TEXT,
    priority INTEGER NOT NULL DEFAULT 0
, queue_partition_key TEXT, forked_from TEXT, "owner_xid" TEXT DEFAULT NULL, "parent_workflow_id" TEXT DEFAULT NULL, "serialization" TEXT DEFAULT NULL, "delay_until_epoch_ms" BIGINT DEFAULT NULL, "was_forked_from" BOOLEAN NOT NULL DEFAULT FALSE, "rate_limited" BOOLEAN NOT NULL DEFAULT FALSE, "completed_at" BIGINT, "attributes" TEXT, "schedule_name" TEXT, "debounce_deadline_epoch_ms" BIGINT DEFAULT NULL, "is_debounced" BOOLEAN NOT NULL DEFAULT FALSE, "application_name" TEXT DEFAULT NULL, "creator_xid" TEXT DEFAULT NULL);
INSERT INTO "workflow_status" VALUES('11a550ad-01e2-4274-b202-b058f29619f2.0','SUCCESS','deliver',NULL,NULL,NULL,NULL,NULL,NULL,'runner',1795947437000,1795947438000,'1',NULL,NULL,NULL,1,'deliver',NULL,NULL,NULL,1795947437000,NULL,0,NULL,NULL,NULL,NULL,'portable_json',NULL,0,0,1795947438000,'null',NULL,NULL,0,'testlab-deliveries','13160faf-b511-497e-9a65-d3cba0cacabb');
INSERT INTO "workflow_status" VALUES('9bb527fc-0d91-4c98-b635-7a330014b673.0','ERROR','deliver',NULL,NULL,NULL,NULL,NULL,NULL,'runner',1795947439000,1795947439000,'1',NULL,NULL,NULL,1,'deliver',NULL,NULL,NULL,1795947439000,NULL,0,NULL,NULL,NULL,NULL,'portable_json',NULL,0,0,1795947439000,'null',NULL,NULL,0,'testlab-deliveries','c0f850de-d2c2-4adb-9cbc-6cdf8996bec8');
INSERT INTO "workflow_status" VALUES('17cef01f-786c-5f83-b6fb-6ec74b26e831.0','ERROR','deliver',NULL,NULL,NULL,NULL,NULL,NULL,'runner',1795947439000,1795947439000,'1',NULL,NULL,NULL,1,'deliver',NULL,NULL,NULL,1795947439000,NULL,0,NULL,NULL,NULL,NULL,'portable_json',NULL,0,0,1795947439000,'null',NULL,NULL,0,'testlab-deliveries','fae95b10-9eb8-4cc9-b839-299fc0a0a9bf');
INSERT INTO "workflow_status" VALUES('a6099fa2-6e82-4105-abd6-cc5e4ede063e.0','PENDING','deliver',NULL,NULL,NULL,NULL,NULL,NULL,'runner',1795947450000,1795947450000,'1',NULL,NULL,NULL,1,'deliver',NULL,NULL,NULL,1795947450000,NULL,0,NULL,NULL,'a2f5aefe-efc2-482d-94b0-5ba0a26ffbb8',NULL,'portable_json',NULL,0,0,NULL,'null',NULL,NULL,0,'testlab-deliveries','797f9dda-d25f-4168-a1e6-cd0557526149');
CREATE INDEX workflow_status_created_at_index ON workflow_status (created_at);
CREATE INDEX idx_workflow_topic ON notifications (destination_uuid, topic);
CREATE INDEX "idx_workflow_status_delayed" ON "workflow_status" ("delay_until_epoch_ms") WHERE status = 'DELAYED';
CREATE INDEX "idx_workflow_status_forked_from" ON "workflow_status" ("forked_from") WHERE "forked_from" IS NOT NULL;
CREATE INDEX "idx_workflow_status_parent_workflow_id" ON "workflow_status" ("parent_workflow_id") WHERE "parent_workflow_id" IS NOT NULL;
CREATE UNIQUE INDEX "uq_workflow_status_dedup_id" ON "workflow_status" ("queue_name", "deduplication_id") WHERE "deduplication_id" IS NOT NULL;
CREATE INDEX "idx_workflow_status_pending" ON "workflow_status" ("created_at") WHERE "status" = 'PENDING';
CREATE INDEX "idx_workflow_status_failed" ON "workflow_status" ("status", "created_at") WHERE "status" IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
CREATE INDEX "idx_workflow_status_rate_limited" ON "workflow_status" ("queue_name", "started_at_epoch_ms") WHERE "rate_limited" = TRUE;
CREATE INDEX "idx_workflow_status_completed_at" ON "workflow_status" ("completed_at") WHERE "completed_at" IS NOT NULL;
CREATE INDEX "idx_workflow_status_started_at" ON "workflow_status" ("started_at_epoch_ms") WHERE "started_at_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_workflow_status_schedule_name" ON "workflow_status" ("schedule_name") WHERE "schedule_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_owner_version"
    ON application_versions ("application_name", "version_name")
    WHERE "application_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_unclaimed_version"
    ON application_versions ("version_name")
    WHERE "application_name" IS NULL;
CREATE INDEX idx_workflow_input_retention
    ON workflow_input (retention_timestamp);
CREATE INDEX idx_workflow_output_retention
    ON workflow_output (retention_timestamp);
CREATE INDEX idx_operation_outputs_retention
    ON operation_outputs (retention_timestamp);
CREATE INDEX "idx_workflow_status_in_flight_v2" ON "workflow_status" ("queue_name", "status", "priority", "created_at", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING');
CREATE INDEX "idx_workflow_status_partition_dequeue_v3" ON "workflow_status" ("queue_name", "status", "queue_partition_key", "priority", "created_at", "workflow_uuid", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING') AND "queue_partition_key" IS NOT NULL;
CREATE INDEX "idx_operation_outputs_completed_at_function_name_v2" ON "operation_outputs" ("completed_at_epoch_ms", "function_name", "application_name");
CREATE INDEX "idx_workflow_status_deadline" ON "workflow_status" ("workflow_deadline_epoch_ms") WHERE "status" IN ('ENQUEUED', 'PENDING', 'DELAYED') AND "workflow_deadline_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_application_versions_timestamp" ON "application_versions" ("version_timestamp" DESC);
CREATE INDEX "idx_application_versions_owner_timestamp" ON "application_versions" ("application_name", "version_timestamp" DESC);
COMMIT;
