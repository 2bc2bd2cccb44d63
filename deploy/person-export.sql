-- Exports all data of one assister from the records, table by table:
--   psql --csv --set id=NAV1001 --file deploy/person-export.sql "$RECORDS"
SELECT * FROM affiliation WHERE training_id = :'id';
SELECT * FROM mailbox WHERE training_id = :'id';
SELECT * FROM acceptedaddress WHERE training_id = :'id';
SELECT * FROM acceptedaddress WHERE training_id = :'id';
SELECT * FROM submissionrow WHERE training_id = :'id';
SELECT * FROM resultevent WHERE training_id = :'id';
SELECT * FROM xapistatement WHERE training_id = :'id';
SELECT * FROM maildelivery WHERE case_id = 'assister-' || :'id';
SELECT * FROM closedcase WHERE training_id = :'id';
SELECT training_id, reference_number, status, activated_at FROM portalaccount WHERE training_id = :'id';
SELECT * FROM auditentry WHERE case_id = 'assister-' || :'id';
