"""The job of conf/databricks/databricks.yml, a month a batch, for those who schedule with Airflow.

Pause the job's own schedule then. The bundle chains the stages and retries each; a retried task
here does no harm either: stages that are done are skipped. Connection: databricks_default.
"""

from datetime import datetime, timedelta

from airflow.providers.databricks.operators.databricks import DatabricksRunNowOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

with DAG(
    "kyros_databricks",
    schedule=CronDataIntervalTimetable("0 4 1 * *", timezone="UTC"),
    start_date=datetime(2023, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["kyros"],
):
    DatabricksRunNowOperator(
        task_id="kyros",
        job_name="kyros-prod",
        # The month that has just ended, also when a run comes late or is repeated.
        job_parameters={"batch": "{{ data_interval_start.strftime('%Y-%m') }}"},
    )
