"""The stages on one machine or one cluster, by spark-submit: a task a stage, a month a batch.

A retried task does no harm: a stage that is done is skipped, one that was killed finishes its work.
The result line of each stage is its XCom. Variables (airflow variables set, or AIRFLOW_VAR_...):
kyros_config, kyros_jobs, and kyros_submit for another master or other settings.
"""

from datetime import datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, chain

# The month that has just ended, also when a run comes late or is repeated.
BATCH = "{{ data_interval_start.strftime('%Y-%m') }}"
SUBMIT = (
    "{{ var.value.get('kyros_submit', 'spark-submit --properties-file "
    "/opt/kyros/conf/spark/local.conf') }} {{ var.value.get('kyros_jobs', '/opt/kyros/jobs') }}"
)
CONFIG = "--config {{ var.value.get('kyros_config', '/opt/kyros/settings.yaml') }}"

with DAG(
    "kyros_local",
    schedule=CronDataIntervalTimetable("0 4 1 * *", timezone="UTC"),
    start_date=datetime(2023, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["kyros"],
):
    chain(
        BashOperator(task_id="clean", bash_command=f"{SUBMIT}/clean.py {CONFIG} --batch {BATCH}"),
        BashOperator(
            task_id="prepare", bash_command=f"{SUBMIT}/prepare.py {CONFIG} --batch {BATCH}"
        ),
        # On the settings' train.batches, once: later months find it done.
        BashOperator(task_id="train", bash_command=f"{SUBMIT}/train.py {CONFIG}"),
        BashOperator(
            task_id="predict", bash_command=f"{SUBMIT}/predict.py {CONFIG} --batch {BATCH}"
        ),
        BashOperator(
            task_id="monitor", bash_command=f"{SUBMIT}/monitor.py {CONFIG} --batch {BATCH}"
        ),
    )
