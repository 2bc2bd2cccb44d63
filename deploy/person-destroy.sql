-- Destroys the data that name one assister. The case must be closed. The account, the audit trail and the
-- emptied rows stay, with the Training ID only.
--   psql --set ON_ERROR_STOP=1 --single-transaction --set id=NAV1001 --file deploy/person-destroy.sql "$RECORDS"
UPDATE submissionrow SET cells = '{}', entry = NULL, reasons = '[]' WHERE training_id = :'id';
UPDATE maildelivery SET recipient = '', recipient_name = '', subject = '', text = NULL
    WHERE case_id = 'assister-' || :'id';
DELETE FROM xapistatement WHERE training_id = :'id';
DELETE FROM acceptedaddress WHERE training_id = :'id';
DELETE FROM affiliation WHERE training_id = :'id';
DELETE FROM mailbox WHERE training_id = :'id';
-- Files that contacts chose on the page and have not submitted: each may name the person.
DELETE FROM rosterdraft;
