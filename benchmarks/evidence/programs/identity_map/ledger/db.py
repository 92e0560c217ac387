from __future__ import annotations

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool

from ledger.models import Base

engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
Base.metadata.create_all(engine)
new_session = sessionmaker(engine)

# One for the auditors' trace, committed at the end of the day.
audit: Session = new_session(autoflush=False)
