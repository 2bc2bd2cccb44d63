"""which command a fence was"""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default stays: a worker of the release before writes accounts without the column.
    op.add_column(
        'portalaccount',
        sa.Column(
            'command', sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=''
        ),
    )


def downgrade() -> None:
    op.drop_column('portalaccount', 'command')
