# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the views and their columns."""

ALIASES = {
    "v$backup_archivelog_details": "v$backup_redolog",
    "cdb_data_files": "dba_data_files",
    "cdb_pdbs": "dba_pdbs",
}
COLUMNS = {
    "v$instance": (
        "instance_number instance_name host_name version version_full startup_time status archiver database_status "
        "instance_role edition thread#"
    ),
    "v$version": "banner banner_full",
    "v$parameter": "name value",
    "v$spparameter": "name value isspecified",
    "v$database": (
        "dbid name db_unique_name created cdb con_id database_role open_mode log_mode force_logging flashback_on "
        "current_scn checkpoint_change# controlfile_type controlfile_change# controlfile_time resetlogs_change# "
        "resetlogs_time prior_resetlogs_change# prior_resetlogs_time archivelog_change# platform_name "
        "last_open_incarnation#"
    ),
    "v$database_incarnation": (
        "incarnation# resetlogs_change# resetlogs_time prior_resetlogs_change# prior_resetlogs_time status "
        "resetlogs_id prior_incarnation#"
    ),
    "v$pdbs": "con_id dbid name open_mode restricted",
    "v$containers": "con_id dbid name open_mode restricted",
    "dba_pdbs": "pdb_id pdb_name status con_id dbid",
    "v$datafile": (
        "file# name ts# con_id bytes blocks block_size creation_change# creation_time checkpoint_change# "
        "checkpoint_time last_change# status enabled unrecoverable_change#"
    ),
    "v$datafile_header": (
        "file# name con_id status error recover fuzzy checkpoint_change# checkpoint_time resetlogs_change# "
        "resetlogs_time tablespace_name"
    ),
    "v$recover_file": "file# online_status error change# time",
    "v$tempfile": "file# name ts# con_id bytes status",
    "v$tablespace": "ts# name con_id",
    "dba_data_files": "file_id file_name tablespace_name bytes status con_id",
    "dba_tablespaces": "tablespace_name status contents",
    "v$controlfile": "name status block_size file_size_blks",
    "v$log": (
        "group# thread# sequence# bytes blocksize members archived status first_change# first_time next_change# next_time"
    ),
    "v$logfile": "group# status type member",
    "v$thread": "thread# status sequence#",
    "v$archived_log": (
        "recid stamp name dest_id thread# sequence# resetlogs_change# resetlogs_time resetlogs_id first_change# "
        "first_time next_change# next_time blocks block_size archived applied deleted status completion_time "
        "backup_count creator standby_dest"
    ),
    "v$archive_dest": "dest_id dest_name status error destination target",
    "v$recovery_file_dest": "name space_limit space_used space_reclaimable number_of_files",
    "v$encryption_wallet": "wrl_type wrl_parameter status wallet_type con_id",
    "v$backup_set": (
        "recid stamp set_stamp set_count backup_type controlfile_included incremental_level pieces start_time "
        "completion_time elapsed_seconds block_size"
    ),
    "v$backup_piece": (
        "recid stamp set_stamp set_count piece# copy# device_type handle tag status start_time completion_time "
        "bytes deleted compressed encrypted"
    ),
    "v$backup_datafile": (
        "recid set_stamp set_count file# creation_change# resetlogs_change# incremental_level incremental_change# "
        "checkpoint_change# checkpoint_time absolute_fuzzy_change# datafile_blocks blocks block_size "
        "completion_time"
    ),
    "v$backup_redolog": (
        "recid set_stamp set_count thread# sequence# resetlogs_change# resetlogs_time first_change# first_time "
        "next_change# next_time blocks block_size"
    ),
    "v$backup_spfile": "recid set_stamp set_count modification_time bytes db_unique_name completion_time",
    "v$datafile_copy": (
        "recid name file# tag status incremental_level checkpoint_change# checkpoint_time bytes completion_time"
    ),
    "v$rman_configuration": "conf# name value",
    "v$rman_backup_job_details": (
        "session_key session_recid session_stamp start_time end_time status input_type output_bytes elapsed_seconds"
    ),
    "v$rman_output": "recid session_recid output",
    "v$database_block_corruption": "file# block# blocks corruption_change# corruption_type",
    "v$block_change_tracking": "status filename",
    "ledger": "id account other amount note written_at scn previous hash",
    "accounts": "id balance",
}
