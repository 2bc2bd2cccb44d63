"""how often a mail was in doubt, instead of whether it was"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'maildelivery', sa.Column('doubts', sa.Integer(), nullable=False, server_default='0')
    )
    op.execute('UPDATE maildelivery SET doubts = 1 WHERE uncertain')
    with op.batch_alter_table('maildelivery') as batch:
        batch.alter_column('doubts', server_default=None)
        batch.drop_column('uncertain')


def downgrade() -> None:
    op.add_column(
        'maildelivery',
        sa.Column('uncertain', sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.execute('UPDATE maildelivery SET uncertain = (doubts > 0)')
    with op.batch_alter_table('maildelivery') as batch:
        batch.alter_column('uncertain', server_default=None)
        batch.drop_column('doubts')
