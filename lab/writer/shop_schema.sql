-- SPDX-License-Identifier: GPL-3.0-or-later
USE shop;

CREATE TABLE accounts (
  id INT PRIMARY KEY,
  owner VARCHAR(80) NOT NULL,
  balance BIGINT NOT NULL CHECK (balance >= 0),
  opened DATETIME NOT NULL,
  initial CHAR(1) AS (LEFT(owner, 1)) VIRTUAL
) ENGINE = InnoDB;

CREATE TABLE ledger (
  id BIGINT PRIMARY KEY,
  from_account INT NOT NULL,
  to_account INT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount > 0),
  note VARCHAR(200) NOT NULL,
  payload VARBINARY(64) NOT NULL,
  written_at DATETIME(6) NOT NULL,
  previous_hash BINARY(32) NOT NULL,
  hash BINARY(32) NOT NULL UNIQUE,
  KEY (written_at),
  FOREIGN KEY (from_account) REFERENCES accounts (id),
  FOREIGN KEY (to_account) REFERENCES accounts (id)
) ENGINE = InnoDB;

CREATE TABLE counters (name VARCHAR(40) PRIMARY KEY, value BIGINT NOT NULL) ENGINE = InnoDB;
CREATE TABLE heartbeat (id INT PRIMARY KEY, beat_at DATETIME(6) NOT NULL) ENGINE = InnoDB;
CREATE TABLE attachments (
  id INT PRIMARY KEY, name VARCHAR(80) NOT NULL, content LONGBLOB NOT NULL
) ENGINE = InnoDB;
CREATE TABLE `Lagerbestände 店舗` (
  `Größe` VARCHAR(40) PRIMARY KEY, `anzahl` INT NOT NULL, `ort` TEXT NOT NULL
) ENGINE = InnoDB COLLATE utf8mb4_bin;
CREATE TABLE `it's a "quoted" table; -- ``x``` (
  `select` INT PRIMARY KEY, `a "column"` TEXT NOT NULL, `nothing` TEXT
) ENGINE = InnoDB;

CREATE VIEW account_totals AS SELECT COUNT(*) AS accounts, SUM(balance) AS total FROM accounts;
CREATE VIEW busy_accounts AS
  SELECT from_account AS id, COUNT(*) AS transfers FROM ledger GROUP BY from_account HAVING COUNT(*) > 10;
CREATE VIEW `Übersicht` AS SELECT t.total, c.value AS rows_written FROM account_totals t, counters c
  WHERE c.name = 'ledger_rows';

DELIMITER //
CREATE TRIGGER count_ledger_rows AFTER INSERT ON ledger FOR EACH ROW
  UPDATE counters SET value = value + 1 WHERE name = 'ledger_rows' //
CREATE FUNCTION total_balance() RETURNS BIGINT READS SQL DATA
  RETURN (SELECT SUM(balance) FROM accounts) //
CREATE PROCEDURE statement_of(IN account INT)
BEGIN
  SELECT id, written_at, IF(from_account = account, -amount, amount) AS change_of_balance
    FROM ledger WHERE account IN (from_account, to_account) ORDER BY id;
END //
CREATE EVENT beat ON SCHEDULE EVERY 5 SECOND DO
  REPLACE INTO heartbeat VALUES (1, UTC_TIMESTAMP(6)) //
DELIMITER ;

GRANT SELECT, INSERT, UPDATE, DELETE, EXECUTE ON shop.* TO shop@localhost;
