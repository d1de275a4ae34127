"""The stages as job runs of an EMR Serverless application: a task a stage, a month a batch.

The application is that of conf/emr/serverless/application.json, whose settings every job run has.
A retried task does no harm: a stage that is done is skipped, one that was killed finishes its work.
Variables: kyros_bucket, kyros_application_id, kyros_role_arn; connection: aws_default.
"""

from datetime import datetime, timedelta

from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, chain

# The month that has just ended, also when a run comes late or is repeated.
BATCH = "{{ data_interval_start.strftime('%Y-%m') }}"
HOME = "s3://{{ var.value.kyros_bucket }}/kyros"


def stage(name: str, *words: str) -> EmrServerlessStartJobOperator:
    """Return the task that runs a stage and waits for its end."""
    return EmrServerlessStartJobOperator(
        task_id=name,
        application_id="{{ var.value.kyros_application_id }}",
        execution_role_arn="{{ var.value.kyros_role_arn }}",
        name=f"kyros-{name}-{BATCH}",
        job_driver={
            "sparkSubmit": {
                "entryPoint": f"{HOME}/jobs/{name}.py",
                "entryPointArguments": ["--config", f"{HOME}/settings.yaml", *words],
            }
        },
        configuration_overrides={
            "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": f"{HOME}/logs/"}}
        },
        waiter_delay=30,
        waiter_max_attempts=1440,  # twelve hours
    )


with DAG(
    "kyros_emr_serverless",
    schedule=CronDataIntervalTimetable("0 4 1 * *", timezone="UTC"),
    start_date=datetime(2023, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["kyros"],
):
    chain(
        stage("clean", "--batch", BATCH),
        stage("prepare", "--batch", BATCH),
        stage("train"),  # on the settings' train.batches, once: later months find it done
        stage("predict", "--batch", BATCH),
        stage("monitor", "--batch", BATCH),
    )
